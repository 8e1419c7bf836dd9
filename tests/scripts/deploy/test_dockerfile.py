"""The image: what socket_host/Dockerfile puts into it is enough for a host, and nothing else.

No container engine is needed: the instructions are read, and followed as far as that goes here.
"""

import asyncio
import fnmatch
import json
import re
import resource
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts import ROOT
from scripts.commands.blank.blanking import APP
from scripts.commands.pin.base import Base
from tests.kit.hosts import ORIGIN, PATIENCE, SECRET
from tests.scripts.deploy.dockerfile import instructions


def ignored(path: Path) -> bool:
    """Whether .dockerignore keeps a path from the builder: the last pattern that fits decides."""
    answer = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.lstrip("!")
        names = [str(part) for part in (path, *path.parents)]
        if pattern.startswith("**/"):
            pattern, names = pattern[3:], list(path.parts)
        if line and line[0] != "#" and fnmatch.filter(names, pattern):
            answer = not line.startswith("!")
    return answer


def copied(source: str, target: str) -> Iterator[tuple[Path, Path]]:
    """Each file that a COPY takes, and where in the image it goes; both relative."""
    start = ROOT / source
    for path in [start] if start.is_file() else start.rglob("*"):
        if path.is_file() and not ignored(path.relative_to(ROOT)):
            inside = path.relative_to(start.parent if target.endswith("/") else start)
            yield path, Path(target) / inside


def python(words: str) -> list[str]:
    """A command of the Dockerfile, run by this Python."""
    name, *rest = json.loads(words)
    assert name == "python"
    return [sys.executable, *rest]


@dataclass
class Image:
    """A folder with what the image would hold."""

    folder: Path

    def files(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}

    def environ(self, **changes: str) -> dict[str, str]:
        """What the image and the task definition would set, but for the names of AWS."""
        words = [word for line in instructions("ENV") for word in line.split()]
        return dict(word.split("=", 1) for word in words) | {
            "SESSION_SECRET": SECRET,
            "PUBLIC_ORIGIN": ORIGIN,
            "AWS_DEFAULT_REGION": "eu-west-1",
            "MAX_CONNECTIONS": "500",  # more could exceed what the system allows
            "PORT": "0",
            **changes,
        }

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
        """The image's command, unable to write to any file, and the line it prints first."""
        (command,) = instructions("CMD")
        process = await asyncio.create_subprocess_exec(
            *python(command),
            cwd=self.folder,
            env=self.environ(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        )
        try:
            assert process.stdout
            async with asyncio.timeout(PATIENCE):
                line = (await process.stdout.readline()).decode().strip()
            yield process, line
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    async def healthy(self, port: str) -> bool:
        """Whether the image's health check passes."""
        (check,) = instructions("HEALTHCHECK")
        process = await asyncio.create_subprocess_exec(
            *python(check.partition(" CMD ")[2]),
            cwd=self.folder,
            env=self.environ(PORT=port),
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(PATIENCE):
            return await process.wait() == 0


@pytest.fixture
def image(tmp_path: Path) -> Image:
    for line in instructions("COPY"):
        for source, target in copied(*line.split()):
            (tmp_path / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, tmp_path / target)
    for folder in ("functions/model", "socket_host/events"):  # yours might want to write
        shutil.rmtree(tmp_path / folder)
        shutil.copytree(APP / folder, tmp_path / folder)
    for line in instructions("RUN"):
        for name in re.findall(r"&& rm (\S+)", line):
            (tmp_path / name).unlink()
    return Image(tmp_path)


async def test_host_runs_from_the_image(image: Image) -> None:
    """With what is copied, and a file system it cannot write to, a host starts, is well, ends."""
    before = image.files()
    async with image.running() as (process, line):
        assert line.startswith("Socket host listening on http://0.0.0.0:")
        assert await image.healthy(line.rpartition(":")[2])
        process.terminate()
        async with asyncio.timeout(PATIENCE):
            _, complaint = await process.communicate()
        assert (process.returncode, complaint.decode()) == (0, "")
    assert image.files() == before


async def test_health_check_can_fail(image: Image) -> None:
    """Where no host answers, the image's health check fails."""
    assert not await image.healthy("1")


def test_only_the_host_is_inside(image: Image) -> None:
    """The image holds the host and what both halves carry: no pages, no tests, no old bytecode."""
    files = image.files()
    assert {name.split("/")[0] for name in files} == {
        "functions",
        "requirements.txt",
        "socket_host",
    }
    carried = ("functions/contract", "functions/model")
    assert all(name.startswith(carried) for name in files if name.startswith("functions/"))
    assert not any(name.endswith((".pyc", "__pycache__")) for name in files)


def test_builder_is_sent_little() -> None:
    """What the image does not take is not sent to the builder, secrets least of all."""
    for name in (
        ".git/config",
        ".sidepath/data.sqlite3",
        "functions/app.py",
        "scripts/setup",
        ".env",
    ):
        assert ignored(Path(name)), name
    for name in ("functions/contract/bus.py", "socket_host/bus/sns.py", "requirements.txt"):
        assert not ignored(Path(name)), name


def test_runs_as_nobody() -> None:
    """The host's user is a number, not root's, and the same as in the task definition."""
    (user,) = instructions("USER")
    assert user == "10001:10001"
    assert f'User: "{user}"' in (ROOT / "infra/template.yaml").read_text()


def test_any_builder_will_do() -> None:
    """Nothing is asked for that Docker's builder of before BuildKit does not know."""
    text = (ROOT / "socket_host/Dockerfile").read_text()
    assert not re.search(r"^(RUN|COPY|ADD) +(--|.*<<)", text, re.MULTILINE)
    assert "# syntax" not in text  # which an engine fetches before anything else


def test_code_comes_after_packages() -> None:
    """A change of code leaves the layer with the packages as it is."""
    text = (ROOT / "socket_host/Dockerfile").read_text()
    assert text.index("COPY socket_host/requirements.txt") < text.index("RUN pip install")
    assert text.index("RUN pip install") < text.index("COPY functions/contract")


def test_base_is_the_functions_python() -> None:
    """Both halves run on the same version of Python."""
    assert instructions("FROM") == ["${BASE}"]
    version = Base.read(ROOT).tag.removeprefix("python:").removesuffix("-slim")
    assert f"Runtime: python{version}" in (ROOT / "infra/template.yaml").read_text()
