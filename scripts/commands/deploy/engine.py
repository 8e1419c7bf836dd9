"""This machine's container engine: Docker, Podman or Finch, whose command lines are the same."""

import shutil
import subprocess
from dataclasses import dataclass
from typing import Self

from scripts.commands.deploy.command import run
from scripts.commands.pin.base import Base

ENGINES = ("docker", "podman", "finch")

# Podman's default image format has no health check, and each build would warn of that.
_OPTIONS = {"podman": ["--format", "docker"]}

_PATIENCE = 30  # seconds; some engines start at their first call

_GET = "Install Docker (https://docs.docker.com/get-docker), Podman or Finch"


class NoEngineError(Exception):
    """There is no engine that can build an image; the text says why and what to do."""


@dataclass(frozen=True)
class Engine:
    """A program that builds images and pushes them to a registry."""

    program: str

    @classmethod
    def find(cls) -> Self:
        """Return the first engine that is installed and runs, or raise NoEngineError."""
        silent = []
        for program in ENGINES:
            if shutil.which(program):
                if not (why := _silence(program)):
                    return cls(program)
                silent.append(f"{program} is installed but does not work: {why}")
        if silent:
            raise NoEngineError(f"{' '.join(silent)} Start it, and try again.")
        raise NoEngineError(f"A container engine is missing. {_GET}, and start it.")

    def build(self, reference: str, platform: str, base: Base) -> None:
        """Build socket_host/Dockerfile on a base for a platform, or raise CommandError."""
        options = [*_OPTIONS.get(self.program, []), "--platform", platform]
        where = ["--file", "socket_host/Dockerfile", "."]
        named = ["--tag", reference, "--build-arg", f"BASE={base}"]
        run([self.program, "build", *named, *options, *where])

    def push(self, reference: str, user: str, password: str) -> None:
        """Log in to the registry of a built image and push it there, or raise CommandError."""
        registry = reference.partition("/")[0]
        login = [self.program, "login", "--username", user, "--password-stdin", registry]
        run(login, typed=password)
        run([self.program, "push", reference])


def _silence(program: str) -> str:
    """Return why an engine does not work, or nothing if it does."""
    try:
        asked = subprocess.run([program, "info"], capture_output=True, text=True, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{error}."
    lines = asked.stderr.strip().splitlines()
    return (lines[-1] if lines else "it does not say why.") if asked.returncode else ""
