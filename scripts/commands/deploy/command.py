"""A program that a deployment runs: a container engine, sam, doctor."""

import subprocess
import sys
from collections.abc import Mapping, Sequence

from scripts import ROOT


class CommandError(Exception):
    """A program failed; its own output on the terminal says why."""


def run(
    command: Sequence[str], *, typed: str = "", environ: Mapping[str, str] | None = None
) -> None:
    """Run a program in the root of the repository, with its output on stderr.

    `typed` is its standard input, for secrets: other users could see the arguments. Raises
    CommandError.
    """
    try:
        status = subprocess.run(
            command, cwd=ROOT, input=typed, text=True, stdout=sys.stderr, env=environ
        ).returncode
    except OSError as error:
        raise CommandError(f"{command[0]} cannot be run: {error.strerror}.") from None
    if status:
        name = " ".join(command[:2])
        raise CommandError(f"{name} ended with status {status}; its output is above.")
