"""Compares every lock with known advisories: exits with 1 where there is one, and lists it.

Says what was not checked, where no database can be reached. What is accepted, for it cannot be
mended or does no harm here, stands in pyproject.toml: `accepted-advisories` of `[tool.sidepath]`.
"""

import subprocess
import sys

from scripts import ROOT
from scripts.commands.audit.findings import audit


def main() -> None:
    """Audit, say what was found on stdout, and exit with 1 if that is anything."""
    if subprocess.run(["scripts/pip-audit"], cwd=ROOT, stdout=sys.stderr).returncode:
        print("pip-audit could not be installed; Python's packages are not checked.")
    lines, well = audit()
    print("\n".join(f"scripts/audit: {line}" for line in lines))
    sys.exit(not well)


if __name__ == "__main__":
    main()
