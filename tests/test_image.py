"""The image: what socket_host/Dockerfile puts into it is enough, and not more than that.

There need not be a container engine: the instructions are read, and followed as far as they can be
without one.
"""

import asyncio
import fnmatch
import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hosts import ORIGIN, PATIENCE, SECRET

ROOT = Path(__file__).parent.parent
DOCKERFILE = ROOT / "socket_host/Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and what follows each."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line]


def instruction(name: str) -> str:
    (found,) = [rest for instruction, rest in instructions() if instruction == name]
    return found


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path from the builder: the last pattern that fits decides."""
    answer = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        parents = [path, *(str(parent) for parent in Path(path).parents)]
        names = [Path(parent).name if pattern.startswith("**/") else parent for parent in parents]
        if line and line[0] != "#" and fnmatch.filter(names, pattern.removeprefix("**/")):
            answer = not line.startswith("!")
    return answer


@dataclass
class Image:
    """A folder with what the image would hold, and the environment it would give the host."""

    folder: Path
    environ: dict[str, str]

    def files(self) -> set[str]:
        return {str(p.relative_to(self.folder)) for p in self.folder.rglob("*")}

    def command(self, words: str) -> list[str]:
        """A command written as a list, by this Python."""
        name, *rest = json.loads(words)
        assert name == "python"
        return [sys.executable, *rest]


@pytest.fixture
def image(tmp_path: Path) -> Image:
    for name, rest in instructions():
        if name != "COPY":
            continue
        source, target = rest.split()
        paths = [ROOT / source] if (ROOT / source).is_file() else (ROOT / source).rglob("*")
        for path in (p for p in paths if p.is_file()):
            inside = path.relative_to(ROOT)
            if not ignored(str(inside)):
                kept = tmp_path / target / (path.relative_to(ROOT / source) if path.is_file() else "")
                kept = tmp_path / target / path.name if target.endswith("/") else kept
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, kept)
    environ = [word.partition("=") for n, rest in instructions() if n == "ENV" for word in rest.split()]
    return Image(tmp_path, {name: value for name, _, value in environ})
