"""What counts as a save, whatever becomes of the folders that are watched."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import watchfiles

from scripts.commands.dev import watch
from scripts.commands.dev.watch import DATA, FRONT_END, FUNCTION, HOST, TEMPLATE, Watch
from tests.scripts.dev.edges import PATIENCE

FILES = ("functions/app.py", "functions/model/rooms.py", "socket_host/app.py")


class Project:
    """A repository of a few files, and somebody who watches it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / ".sidepath"
        for file in (*FILES, "infra/template.yaml", ".sidepath/rooms.sqlite3", "package.json"):
            self.write(file, "0")
        self.watch = Watch(root, self.data)

    def write(self, file: str, text: str) -> None:
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    async def expect(self, *parts: str, after: Callable[[], object] = lambda: None) -> None:
        """Wait until all of these parts are to be reloaded, and check that no other is."""
        after()
        seen: set[str] = set()
        async with asyncio.timeout(PATIENCE), aclosing(self.watch.saves()) as saves:
            async for reloads in saves:
                seen |= reloads.keys()
                if seen >= {*parts}:
                    break
        assert seen == {*parts}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr(watch, "_LOOK_SECONDS", 0.1)
    return Project(tmp_path)


@pytest.mark.parametrize(
    ("file", "parts"),
    [
        ("functions/app.py", {FUNCTION}),
        ("functions/pages/templates/new.html", {FUNCTION}),
        ("functions/model/rooms.py", {FUNCTION, HOST}),
        ("socket_host/app.py", {HOST}),
        ("infra/template.yaml", {TEMPLATE}),
    ],
)
async def test_parts(project: Project, file: str, parts: set[str]) -> None:
    """A save, even one from before anybody listened, belongs to a part, or to two."""
    await project.expect(*parts, after=lambda: project.write(file, "1"))


@pytest.mark.parametrize(
    "file", ["functions/app.py~", "functions/.app.py.swp", "functions/__pycache__/app.pyc"]
)
async def test_copies_are_no_saves(project: Project, file: str) -> None:
    """What an editor or Python keeps beside a file is not what somebody saved."""
    project.write(file, "1")
    await project.expect(HOST, after=lambda: project.write("socket_host/app.py", "1"))


async def test_folder_made_again(project: Project) -> None:
    """A folder that is deleted is noticed, that it is made again, and every save in it after."""
    away = project.root / "away"
    async with aclosing(project.watch.saves()) as saves:

        async def notice(act: Callable[[], object]) -> None:
            async with asyncio.timeout(PATIENCE):
                asyncio.get_running_loop().call_soon(act)
                assert FUNCTION in await anext(saves)

        await notice(lambda: project.write("functions/app.py", "1"))
        await notice(lambda: shutil.move(project.root / "functions", away))
        await notice(lambda: shutil.copytree(away, project.root / "functions"))
        for number in range(3):
            await notice(lambda number=number: project.write("functions/app.py", f"{number:10}"))


async def test_system_reports_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the system's limit of watches saves are noticed all the same; that is said once."""

    async def refuse(*paths: Path, **options: Any) -> AsyncIterator[set[Any]]:
        raise OSError("OS file watch limit reached")
        yield set()

    monkeypatch.setattr(watchfiles, "awatch", refuse)
    monkeypatch.setattr(watch, "_LOOK_SECONDS", 0.01)
    for text in ("1", "22", "333"):
        await project.expect(FUNCTION, after=lambda text=text: project.write(FILES[0], text))
    assert "limit reached" in capsys.readouterr().err


async def test_data_removed(project: Project) -> None:
    """A database that is deleted, alone or with its folder, is told; one that is changed is not."""
    project.write(".sidepath/rooms.sqlite3", "changed")
    await project.expect(HOST, after=lambda: project.write("socket_host/app.py", "1"))
    await project.expect(DATA, after=(project.data / "rooms.sqlite3").unlink)
    project.write(".sidepath/rooms.sqlite3", "new")
    await project.expect(HOST, after=lambda: project.write("socket_host/app.py", "22"))
    await project.expect(DATA, after=lambda: shutil.rmtree(project.data))


def build(project: Project) -> None:
    project.write("package.json", json.dumps({"scripts": {"build": "true"}}))


async def test_front_end(project: Project) -> None:
    """Where there is a build, it is made of whatever somebody writes that is none of ours."""
    await project.expect(FRONT_END, after=lambda: build(project))
    for file in ("frontend/app.jsx", "tailwind.config.js", "frontend/deep/er/style.css"):
        await project.expect(FRONT_END, after=lambda file=file: project.write(file, "1"))
    page = "functions/pages/templates/a.html"
    await project.expect(FRONT_END, FUNCTION, after=lambda: project.write(page, "1"))


async def test_what_a_build_writes(project: Project) -> None:
    """A build is not begun for what one has written: its output, or the same text once more."""
    build(project)
    project.write("frontend/app.js", "1")
    await project.expect(FRONT_END)
    for file in ("functions/pages/static/app.js", "dist/app.js", "frontend/node_modules/a.js"):
        project.write(file, "1")
    project.write("frontend/app.js", "1")
    await project.expect(FUNCTION)


async def test_no_front_end(project: Project) -> None:
    """Without a build script nobody looks for what one would be made of."""
    project.write("frontend/app.js", "1")
    await project.expect(HOST, after=lambda: project.write("socket_host/app.py", "1"))
