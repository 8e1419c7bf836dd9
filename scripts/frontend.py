"""The front end's build: what npm runs where package.json has a script for it.

`python -m scripts.frontend` builds, and does nothing where there is nothing to build.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from scripts import ROOT
from scripts.terminal import say

BUILD = "build"
WATCH = "watch"  # builds again at every save, and does not end


class BuildError(Exception):
    """The front end was not built; the text says why, or that npm has said it on the terminal."""


def has_script(name: str, root: Path = ROOT) -> bool:
    """Whether package.json has a script of this name; one that cannot be read has none."""
    try:
        package = json.loads((root / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    scripts = package.get("scripts") if isinstance(package, dict) else None
    return isinstance(scripts, dict) and isinstance(scripts.get(name), str)


def run(name: str = BUILD, root: Path = ROOT) -> None:
    """Run a script of package.json, if it is there, and raise BuildError if that fails."""
    if not has_script(name, root):
        return
    npm = shutil.which("npm")
    if npm is None:
        raise BuildError(f"package.json has a {name} script, and npm, which runs it, is missing.")
    say(f"npm run {name}")
    status = subprocess.run([npm, "run", "--silent", name], cwd=root, stdout=sys.stderr).returncode
    if status:
        raise BuildError(f"npm run {name} ended with status {status}; why stands above.")


def main(name: str = BUILD) -> None:
    """Run a script of package.json; exit with 1 and a sentence if that fails."""
    try:
        run(name)
    except BuildError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
