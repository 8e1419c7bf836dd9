"""Builds the front end with npm, if package.json has a script for it.

`python -m scripts.frontend` runs the `build` script, or does nothing if there is none.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from scripts import ROOT
from scripts.terminal import say

BUILD = "build"
WATCH = "watch"  # rebuilds after every save, and does not end


class BuildError(Exception):
    """The front end was not built; the text says why, or refers to npm's output."""


def has_script(name: str, root: Path = ROOT) -> bool:
    """Whether package.json has a script with this name; False if it cannot be read."""
    try:
        package = json.loads((root / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    scripts = package.get("scripts") if isinstance(package, dict) else None
    return isinstance(scripts, dict) and isinstance(scripts.get(name), str)


def run(name: str = BUILD, root: Path = ROOT) -> None:
    """Run a script of package.json, if it exists; raise BuildError if it fails."""
    if not has_script(name, root):
        return
    npm = shutil.which("npm")
    if npm is None:
        raise BuildError(
            f"package.json has a {name} script, but npm, which runs it, is missing. Install Node."
        )
    say(f"npm run {name}")
    status = subprocess.run([npm, "run", "--silent", name], cwd=root, stdout=sys.stderr).returncode
    if status:
        raise BuildError(f"npm run {name} ended with status {status}; see its output above.")


def main(name: str = BUILD) -> None:
    """Run a script of package.json; exit with 1 and a message if it fails."""
    try:
        run(name)
    except BuildError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
