"""npm's lock files: they have a hash for every package, and name no registry."""

import datetime
import subprocess
import sys
from pathlib import Path

from scripts.commands.pin.lists import WAIT

FOLDERS = (".", "scripts/commands/bench", "scripts/commands/bench/nextjs")

_OPTIONS = (
    *("--package-lock-only", "--ignore-scripts", "--omit-lockfile-registry-resolved"),
    *("--no-audit", "--no-fund", "--loglevel=error"),
)


class NpmError(Exception):
    """npm is missing or failed, and has printed why."""


def lock(root: Path, upgrade: bool) -> None:
    """Write the lock files for package.json; `upgrade` takes the newest versions it allows.

    Raises NpmError.
    """
    command = ["npm", "install", *_OPTIONS]
    if upgrade:
        newest = datetime.datetime.now(datetime.UTC) - WAIT
        command = ["npm", "update", *_OPTIONS, f"--before={newest:%Y-%m-%d}"]
    for folder in FOLDERS:
        try:
            status = subprocess.run(command, cwd=root / folder, stdout=sys.stderr).returncode
        except FileNotFoundError:
            status = 1
        if status:
            raise NpmError(f"`{' '.join(command[:2])}` failed in {folder}.")
