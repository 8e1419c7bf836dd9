"""The socket host's image, identified by a hash of the files it is built from."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from scripts.commands.deploy.architecture import KNOWN


@dataclass(frozen=True)
class Image:
    """An image: its build context and its platform."""

    tag: str  # the hash of both
    platform: str

    @classmethod
    def read(cls, root: Path, architecture: str) -> Self:
        """Return the image that the folders of a repository describe, for a processor."""
        platform = KNOWN[architecture].platform
        digest = hashlib.sha256(platform.encode())
        for path in _sent(root):
            content = path.read_bytes()
            digest.update(f"\n{path.relative_to(root).as_posix()} {len(content)}\n".encode())
            digest.update(content)
        return cls(digest.hexdigest(), platform)


def _sent(root: Path) -> Iterator[Path]:
    """Yield the files of the build context, as .dockerignore has it, in a fixed order."""
    lines = (root / ".dockerignore").read_text().splitlines()
    for name in sorted(line[1:] for line in lines if line.startswith("!")):
        for path in [root / name, *sorted((root / name).rglob("*"))]:
            if path.is_file() and "__pycache__" not in path.parts:
                yield path
