"""The two C programs, the load generator and the bare sender, compiled when they change."""

import os
import subprocess
from pathlib import Path

from scripts.commands.bench.sources import digest

SOURCES = Path(__file__).parent / "native"

PROGRAMS = {
    "load": ("load.c", "client.c", "websocket.c", "text.c"),
    "bare": ("bare.c", "text.c"),
}


class CompileError(Exception):
    """A C program could not be compiled; the text says why and what to install."""


def program(name: str, folder: Path) -> Path:
    """Return the compiled program, compiling it if its source has changed.

    Raises CompileError.
    """
    compiled = folder / f"{name}-{digest(SOURCES)}"
    if not compiled.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _compile(name, compiled)
    return compiled


def _compile(name: str, target: Path) -> None:
    sources = [str(SOURCES / part) for part in PROGRAMS[name]]
    unfinished = target.with_name(
        f"{target.name}.{os.getpid()}"
    )  # unique, because several may compile it at once
    command = ["cc", "-O2", "-Wall", "-Wextra", "-o", str(unfinished), *sources, "-lz"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CompileError(
            "The load generator is written in C, but there is no C compiler. "
            "On Debian: apt-get install gcc libc6-dev zlib1g-dev"
        ) from None
    if done.returncode:
        raise CompileError(
            f"The C program {name!r} did not compile. If zlib.h is missing, on Debian: "
            f"apt-get install zlib1g-dev\n{done.stderr}"
        )
    unfinished.rename(target)
