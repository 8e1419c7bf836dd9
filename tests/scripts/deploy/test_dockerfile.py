"""The image has what a host needs, and nothing else, according to socket_host/Dockerfile.

No container engine is needed: the instructions are parsed, and imitated as far as possible.
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
    """Whether .dockerignore excludes a path; the last matching pattern decides."""
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
    """The files of each COPY, and their places in the image; both relative."""
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
    """A folder with the image's contents."""

    folder: Path

    def files(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}

    def environ(self, **changes: str) -> dict[str, str]:
        """The environment of the image and the task definition, without AWS's names."""
        words = [word for line in instructions("ENV") for word in line.split()]
        return dict(word.split("=", 1) for word in words) | {
            "SESSION_SECRET": SECRET,
            "PUBLIC_ORIGIN": ORIGIN,
            "AWS_DEFAULT_REGION": "eu-west-1",
            "MAX_CONNECTIONS": "500",  # more could exceed the system's limit
            "PORT": "0",
            **changes,
        }

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
        """The image's command, unable to write to any file, and its first line of output."""
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
    for folder in (
        "functions/model",
        "socket_host/events",
    ):  # folders that your code might write to
        shutil.rmtree(tmp_path / folder)
        shutil.copytree(APP / folder, tmp_path / folder)
    for line in instructions("RUN"):
        for name in re.findall(r"&& rm (\S+)", line):
            (tmp_path / name).unlink()
    return Image(tmp_path)


async def test_host_runs_from_the_image(image: Image) -> None:
    """With the copied files and a read-only file system, a host starts and stops."""
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
    """Without a host, the image's health check fails."""
    assert not await image.healthy("1")


def test_only_the_host_is_inside(image: Image) -> None:
    """The image has the host and the shared code: no pages, no tests, no old bytecode."""
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
    """Files that the image does not need, and secrets, are not sent to the builder."""
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
    """The host's user is a number other than root's, the same as in the task definition."""
    (user,) = instructions("USER")
    assert user == "10001:10001"
    assert f'User: "{user}"' in (ROOT / "infra/template.yaml").read_text()


def test_any_builder_will_do() -> None:
    """The Dockerfile needs no BuildKit."""
    text = (ROOT / "socket_host/Dockerfile").read_text()
    assert not re.search(r"^(RUN|COPY|ADD) +(--|.*<<)", text, re.MULTILINE)
    assert "# syntax" not in text  # an engine would download that first


def test_code_comes_after_packages() -> None:
    """A change in the code does not invalidate the layer with the packages."""
    text = (ROOT / "socket_host/Dockerfile").read_text()
    assert text.index("COPY socket_host/requirements.txt") < text.index("RUN pip install")
    assert text.index("RUN pip install") < text.index("COPY functions/contract")


def test_base_is_the_functions_python() -> None:
    """Both halves run on the same version of Python."""
    assert instructions("FROM") == ["${BASE}"]
    version = Base.read(ROOT).tag.removeprefix("python:").removesuffix("-slim")
    assert f"Runtime: python{version}" in (ROOT / "infra/template.yaml").read_text()
