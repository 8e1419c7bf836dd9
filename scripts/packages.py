"""Installs the packages of lists: by uv in a moment, by pip where uv is not, or cannot get them.

`python -m scripts.packages PYTHON LIST...` installs into the environment that a Python belongs to.
Only files whose hashes stand in the lists are installed. scripts/setup has nothing but the standard
library.
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from scripts.terminal import say

_UV = ["-m", "uv", "pip", "install", "--quiet", "--require-hashes"]
_PIP = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]

# Where a network has a certificate authority of its own, the system knows it, and uv does not.
SYSTEM_CERTIFICATES = {"UV_SYSTEM_CERTS": "1"}


class PackagesError(Exception):
    """Packages could not be installed; uv and pip have said why, on the terminal."""


def install(python: str, lists: Sequence[str]) -> None:
    """Install into the environment that a Python belongs to, or raise PackagesError."""
    # Compiled now, or the first start would have to.
    uv = [sys.executable, *_UV, "--compile-bytecode", "--python", python]
    words = _words(lists)
    _by_either([*uv, *words], [python, *_PIP, *words])


def install_into(
    folder: str,
    lists: Sequence[str],
    words: Sequence[str] = (),
    uv: Sequence[str] = (),
    pip: Sequence[str] = (),
) -> None:
    """Install into a folder, for zipping, or raise PackagesError.

    `words` are what both programs are told besides; `uv` and `pip`, what only one of them is.
    """
    words = ["--target", folder, *words, *_words(lists)]
    _by_either(
        [sys.executable, *_UV, "--link-mode", "copy", *uv, *words],
        [sys.executable, *_PIP, "--no-compile", *pip, *words],
    )


def _words(lists: Sequence[str]) -> list[str]:
    return [f"--requirement={file}" for file in lists]


def _by_either(uv: Sequence[str], pip: Sequence[str]) -> None:
    if importlib.util.find_spec("uv"):
        if _does(uv, SYSTEM_CERTIFICATES | os.environ):
            return
        say("uv did not install the packages. pip tries, which takes longer.")
    if not _does(pip, os.environ):
        raise PackagesError


def _does(command: Sequence[str], environ: Mapping[str, str]) -> bool:
    return subprocess.run(command, stdout=sys.stderr, env=environ).returncode == 0


def main(python: str, *lists: str) -> None:
    """Install the lists of the command line; exit with 1 if that fails, for it was said why."""
    try:
        install(python, lists)
    except PackagesError:
        sys.exit(
            "The packages could not be installed; the reason is above. Can this machine reach the "
            "package index (.venv/bin/pip config list)?"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
