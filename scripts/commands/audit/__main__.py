"""Compares every pinned package with known advisories; lists any, and then exits with 1.

If no database can be reached, prints what was not checked. Advisories that have no fix, or do not
apply here, are accepted in pyproject.toml: `accepted-advisories` of `[tool.sidepath]`.
"""

import argparse
import subprocess
import sys

from scripts import ROOT
from scripts.commands.audit.findings import audit


def main() -> None:
    """Audit, print the findings on stdout, and exit with 1 if there are any."""
    argparse.ArgumentParser(prog="scripts/audit", description=__doc__).parse_args()
    if subprocess.run(["scripts/pip-audit"], cwd=ROOT, stdout=sys.stderr).returncode:
        print("pip-audit could not be installed, so Python packages are not checked.")
    lines, well = audit()
    print("\n".join(f"scripts/audit: {line}" for line in lines))
    sys.exit(not well)


if __name__ == "__main__":
    main()
