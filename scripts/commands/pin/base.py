"""The base image of the host's image: its tag and, if it is known, its digest."""

import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

_DOCKERFILE = "socket_host/Dockerfile"
_DIGEST = r"sha256:[0-9a-f]{64}"
_LINE = re.compile(rf"^ARG BASE=([^\s@]+)(?:@({_DIGEST}))?$", re.MULTILINE)

# Programs that look up a tag's digest in a registry, for all processors.
_PROGRAMS = (
    ("docker", "buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}", "{tag}"),
    ("skopeo", "inspect", "--format", "{{.Digest}}", "docker://{tag}"),
)

_PATIENCE = 60  # seconds


class BaseError(Exception):
    """The digest cannot be looked up; the text says why and what to do."""


@dataclass(frozen=True)
class Base:
    """An image's tag and, if it has been looked up, its digest."""

    tag: str
    digest: str | None = None

    def __str__(self) -> str:
        return f"{self.tag}@{self.digest}" if self.digest else self.tag

    @classmethod
    def read(cls, root: Path) -> Self:
        """Return the base that the Dockerfile names."""
        found = _LINE.search((root / _DOCKERFILE).read_text())
        assert found, f"{_DOCKERFILE} has no line ARG BASE=NAME:TAG"
        return cls(*found.groups())

    def write(self, root: Path) -> None:
        """Write the base to the Dockerfile."""
        file = root / _DOCKERFILE
        file.write_text(_LINE.sub(f"ARG BASE={self}", file.read_text()))

    def renewed(self) -> "Base":
        """Return the base with the current digest of its tag. Raises BaseError."""
        reasons = []
        for program in _PROGRAMS:
            if not shutil.which(program[0]):
                continue
            command = [word.format(tag=self.tag) if "{tag}" in word else word for word in program]
            answer = _ask(command)
            if re.fullmatch(_DIGEST, answer):
                return replace(self, digest=answer)
            reasons.append(f"{program[0]}: {answer or 'no reason given'}")
        why = f" ({'; '.join(reasons)})" if reasons else ""
        raise BaseError(
            f"The digest of {self.tag} cannot be looked up{why}. That needs skopeo, which works "
            "with any engine, or Docker with buildx, and access to the registry."
        )


def _ask(command: list[str]) -> str:
    """Return the first line of a program's output."""
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        return f"no answer within {_PATIENCE} s"
    except OSError as error:
        return str(error.strerror)
    said = (asked.stderr if asked.returncode else asked.stdout).strip()
    return said.partition("\n")[0].strip()
