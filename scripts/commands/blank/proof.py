"""Checks that a project works without the sample: `scripts/test --blank`.

Removes the sample from a copy, and there runs lint, types, your tests, and those tests of ours that
read your folders or the template. The others run on the small app, so they would not change; this
only checks that none of them is missing.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts import ROOT
from scripts.terminal import say

# Not in git, or too large to copy.
LINKED = (".venv", ".venv-sam", ".venv-checkov", ".venv-pip-audit", "node_modules")
CLIENT = "functions/web/static/socket.io.esm.min.js"

# Tests that depend on files of yours.
TESTS = (
    "tests/app",
    "tests/docs",
    "tests/infra",
    "tests/test_boundaries.py",
    "tests/test_small_app.py",
    "tests/scripts/bench/test_function.py",
    "tests/scripts/blank",
    "tests/scripts/costs",
    "tests/scripts/deploy",
    "tests/scripts/dev/test_disturbed.py",
    "tests/scripts/dev/test_front_end.py",
    "tests/scripts/dev/test_sam_local.py",
    "tests/scripts/doctor/test_command.py",
    "tests/socket_host/test_door.py",
)


def main(options: Sequence[str]) -> None:
    """Make the copy, remove the sample, and run the checks; exit with 1 if one fails."""
    with tempfile.TemporaryDirectory(prefix="sidepath-blank-") as folder:
        copy = Path(folder) / "project"
        _copy(copy)
        before = _ours(copy)
        _run(copy, sys.executable, "-m", "scripts.commands.blank", "--yes")
        _commit(copy, "Without the sample")
        _run(copy, ".venv/bin/ruff", "check", ".")
        _run(copy, ".venv/bin/ruff", "format", "--check", ".")
        _run(copy, ".venv/bin/mypy")
        if lost := before - _ours(copy):
            sys.exit("These tests of ours are missing:\n" + "\n".join(sorted(lost)))
        say(f"All {len(before)} tests of ours are present.")
        _run(copy, ".venv/bin/pytest", "-n", "4", *TESTS, *options)


def _copy(to: Path) -> None:
    """Copy the files that git tracks or would track, as a new repository."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in [*files.split("\0"), CLIENT]:
        if name and (ROOT / name).is_file() and not name.startswith(LINKED):
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, to / name)
    for name in LINKED:
        if (ROOT / name).exists():
            (to / name).symlink_to((ROOT / name).resolve())
    _run(to, "git", "init", "--quiet")
    with (to / ".git/info/exclude").open("a") as exclude:
        exclude.writelines(f"/{name}\n" for name in LINKED)
    _commit(to, "As it is")


def _commit(project: Path, message: str) -> None:
    _run(project, "git", "add", "--all")
    identity = ("-c", "user.name=Sidepath", "-c", "user.email=sidepath@example.com")
    _run(project, "git", *identity, "commit", "--quiet", "--message", message)


def _ours(project: Path) -> set[str]:
    """Return the names of all tests of ours."""
    command = [".venv/bin/pytest", "--collect-only", "-q", "--ignore=tests/app", "-p", "no:xdist"]
    found = subprocess.run(command, cwd=project, env=_environ(), capture_output=True, text=True)
    if found.returncode:
        sys.exit(f"The tests cannot be collected:\n{found.stdout[-4_000:]}{found.stderr}")
    return set(re.findall(r"^tests/\S+::.+$", found.stdout, re.MULTILINE))


def _run(project: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=project, env=_environ())
    if done.returncode:
        sys.exit(f"This fails without the sample: {' '.join(command)}")


def _environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


if __name__ == "__main__":
    main(sys.argv[1:])
