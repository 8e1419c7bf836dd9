"""Installs the packages of lists with uv, or with pip if uv is missing or fails.

`python -m scripts.packages PYTHON LIST...` installs into the environment of a Python. Only files
whose hashes are in the lists are installed. This uses only the standard library, because
scripts/setup runs it first.
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from scripts.terminal import say

_UV = ["-m", "uv", "pip", "install", "--quiet", "--require-hashes"]
_PIP = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]

# For networks with their own certificate authority, which uv does not trust by default.
SYSTEM_CERTIFICATES = {"UV_SYSTEM_CERTS": "1"}


class PackagesError(Exception):
    """Packages could not be installed; uv and pip have printed why."""


def install(python: str, lists: Sequence[str]) -> None:
    """Install into the environment of a Python, or raise PackagesError."""
    words = _words(lists)
    _by_either(
        [sys.executable, *_UV, "--python", python, *words],
        [python, "-m", "ensurepip"],  # the environment may be without pip
        [python, *_PIP, *words],
    )


def install_into(
    folder: str,
    lists: Sequence[str],
    words: Sequence[str] = (),
    uv: Sequence[str] = (),
    pip: Sequence[str] = (),
) -> None:
    """Install into a folder, such as for a zip, or raise PackagesError.

    `words` are arguments for both programs; `uv` and `pip` are arguments for one of them.
    """
    words = ["--target", folder, *words, *_words(lists)]
    _by_either(
        [sys.executable, *_UV, "--link-mode", "copy", *uv, *words],
        [sys.executable, *_PIP, "--no-compile", *pip, *words],
    )


def _words(lists: Sequence[str]) -> list[str]:
    return [f"--requirement={file}" for file in lists]


def _by_either(uv: Sequence[str], *pip: Sequence[str]) -> None:
    if importlib.util.find_spec("uv"):
        if _succeeds(uv, SYSTEM_CERTIFICATES | os.environ):
            return
        say("uv could not install the packages. Trying pip, which takes longer.")
    if not all(_succeeds(command, os.environ) for command in pip):
        raise PackagesError


def _succeeds(command: Sequence[str], environ: Mapping[str, str]) -> bool:
    return subprocess.run(command, stdout=sys.stderr, env=environ).returncode == 0


def main(python: str, *lists: str) -> None:
    """Install the lists of the command line; exit with 1 if that fails."""
    try:
        install(python, lists)
    except PackagesError:
        sys.exit(
            "The packages could not be installed; the reason is above. Can this machine reach the "
            "package index (.venv/bin/pip config list)?"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
