"""A program that a deployment runs: a container engine, sam, doctor."""

import subprocess
import sys
from collections.abc import Mapping, Sequence

from scripts import ROOT


class CommandError(Exception):
    """A program has failed; it has said why itself, on the terminal."""


def run(
    command: Sequence[str], *, typed: str = "", environ: Mapping[str, str] | None = None
) -> None:
    """Run a program in the root of the repository, with what it says on stderr.

    `typed` is its standard input: what must not stand among its arguments, where others see it.
    Raises CommandError.
    """
    try:
        status = subprocess.run(
            command, cwd=ROOT, input=typed, text=True, stdout=sys.stderr, env=environ
        ).returncode
    except OSError as error:
        raise CommandError(f"{command[0]} does not run: {error.strerror}.") from None
    if status:
        name = " ".join(command[:2])
        raise CommandError(f"{name} has ended with status {status}; what it said stands above.")
