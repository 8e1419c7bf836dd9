"""npm's lock files: they have an integrity for every package, and name no registry."""

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
    """npm is missing or has failed; it has said why, on the terminal."""


def lock(root: Path, upgrade: bool) -> None:
    """Write the lock files anew: as package.json asks or, to upgrade, as new as that allows.

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
            raise NpmError(f"`{' '.join(command[:2])}` has failed in {folder}.")
