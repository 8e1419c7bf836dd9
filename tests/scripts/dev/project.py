"""`scripts/dev` for tests: the real program, in a copy of the project that tests may change."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import ClientSession

from functions.contract.session import COOKIE
from functions.model.settings import settings as yours
from scripts import ROOT
from tests.kit.hosts import own_texts
from tests.scripts.dev.edges import PATIENCE, eventually
from tests.small_app.install import install

PARTS = ("functions", "socket_host", "scripts", "infra")


def copy_project(folder: Path) -> Path:
    """A copy of what scripts/dev runs, in the test's folder."""
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part)
    return folder


def small_project(folder: Path) -> Path:
    """A copy with the small app instead of the files that are yours."""
    install(copy_project(folder))
    return folder


class Dev:
    """A running development server, its output, and its responses."""

    def __init__(self, root: Path, process: asyncio.subprocess.Process) -> None:
        self.root = root
        self.process = process
        self.url = ""
        self.said: list[str] = []
        self._new = asyncio.Condition()
        self._originals: dict[str, str] = {}
        self._listening = asyncio.create_task(self._listen())

    async def ready(self) -> None:
        """Wait for the first line on stdout, which must be the address."""
        assert self.process.stdout
        async with asyncio.timeout(PATIENCE):
            line = (await self.process.stdout.readline()).decode()
        found = re.fullmatch(r"Sidepath is ready on (http://localhost:\d+)\n", line)
        assert found, (line, self.said)
        self.url = found[1]

    async def says(self, words: str, after: int = 0) -> None:
        """Wait until a text is on the terminal, after the first `after` lines."""

        def said() -> bool:
            return any(words in line for line in self.said[after:])

        async with asyncio.timeout(PATIENCE), self._new:
            await self._new.wait_for(said)

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Status and text of a response; redirects are not followed."""
        async with ClientSession(headers=headers) as session:
            answer = await session.get(self.url + path, allow_redirects=False)
            return answer.status, await answer.text()

    async def becomes(self, path: str, status: int, words: str = "") -> str:
        """Request repeatedly until a response has a status and contains a text; return its text."""
        answer: tuple[int, str] = (0, "")
        try:
            async with asyncio.timeout(PATIENCE):
                while not (answer[0] == status and words in answer[1]):
                    answer = await self.get(path)
        except TimeoutError:
            raise AssertionError((path, answer, self.said)) from None
        return answer[1]

    def save(self, file: str, old: str, new: str) -> None:
        """Replace a piece of text in one of the project's files; it must exist."""
        path = self.root / file
        text = path.read_text()
        assert old in text, f"{file} no longer says {old!r}"
        self._originals.setdefault(file, text)
        path.write_text(text.replace(old, new))

    async def restore(self) -> None:
        """Undo all saves, and wait until both halves run the original files."""
        for file, text in self._originals.items():
            if (self.root / file).read_text() != text:
                await self._take_back(file, text)
        self._originals.clear()
        await self.becomes("/", 200)
        await self.becomes("/socket.io/?EIO=4&transport=polling", 200)
        self.said.clear()

    async def _take_back(self, file: str, text: str) -> None:
        told = len(self.said)
        hosts = [pid for pid, command in self._children().items() if "socket_host" in command]
        (self.root / file).write_text(text)
        if file.startswith(("socket_host/", "functions/contract/", "functions/model/")):
            await self.says("the socket host starts again", after=told)
            await eventually(lambda: not any(map(alive, hosts)))
        else:
            # The name may be that of another file, which a build has written at the same moment.
            await self.says(" was saved: ", after=told)

    def _children(self) -> dict[int, str]:
        return descendants(self.process.pid)

    def pid(self, words: str) -> int:
        """The child whose command contains a text."""
        found = self._children()
        pids = [pid for pid, command in found.items() if words in command]
        assert len(pids) == 1, (found, self.said)
        return pids[0]

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, and return the exit status."""
        self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE):
            status = await self.process.wait()
            await self._listening
        return status

    async def _listen(self) -> None:
        assert self.process.stderr
        async for line in self.process.stderr:
            async with self._new:
                self.said.append(line.decode().rstrip())
                self._new.notify_all()


@asynccontextmanager
async def starting(root: Path, *options: str) -> AsyncIterator[Dev]:
    """A development server that may not be ready yet; it is stopped at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.commands.dev"),
        *("--port", "0", "--data", str(root / "data"), *options),
        cwd=root,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: os.environ[name] for name in os.environ if name not in _DOORS},
    )
    dev = Dev(root, process)
    try:
        yield dev
    finally:
        if process.returncode is None:
            await dev.end()


@asynccontextmanager
async def running(root: Path, *options: str) -> AsyncIterator[Dev]:
    """A development server that is ready; it is stopped at the end."""
    async with starting(root, *options) as dev:
        await dev.ready()
        yield dev


# Variables that conftest.py sets for this process only.
_DOORS = {"STAGE", "SESSION_SECRET", "PYTHONDONTWRITEBYTECODE"}
_DOORS |= own_texts(ROOT).keys() | own_texts(ROOT, yours).keys()


def descendants(pid: int) -> dict[int, str]:
    """The children of a process, and their children, with their commands."""
    found: dict[int, str] = {}
    for child, parent, command in _processes():
        if parent == pid:
            found |= {child: command} | descendants(child)
    return found


def alive(pid: int) -> bool:
    """Whether a process exists, and is not a zombie."""
    return any(found == pid for found, _, _ in _processes())


def _processes() -> Iterator[tuple[int, int, str]]:
    """Yield the id, the parent and the command of each running process."""
    table = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,command="],
        capture_output=True,
        text=True,
        check=True,
    )
    for line in table.stdout.splitlines():
        pid, parent, state, *command = line.split()
        if not state.startswith("Z"):
            yield int(pid), int(parent), " ".join(command)


class Poller:
    """A client that can only poll, because of its network; it keeps the messages it receives."""

    def __init__(self, http: ClientSession, url: str, token: str) -> None:
        self.messages: list[str] = []
        self._http = http
        self._url = f"{url}/socket.io/?EIO=4&transport=polling"
        self._headers = {"Cookie": f"{COOKIE}={token}"}

    async def connect(self) -> None:
        """Open a session and the namespace."""
        packet = (await self._poll())[0]
        assert packet.startswith("0"), packet
        self._url += f"&sid={json.loads(packet[1:])['sid']}"
        await self._post("40")

    async def say(self, text: str) -> None:
        """Send a message to the plaza."""
        await self._post("42" + json.dumps(["message", {"id": uuid.uuid4().hex, "text": text}]))

    async def listen(self, count: int) -> None:
        """Poll until this many messages have arrived."""
        while len(self.messages) < count:
            for packet in await self._poll():
                assert not packet.startswith(("1", "41", "44")), packet
                if packet == "2":
                    await self._post("3")
                elif packet.startswith('42["message"'):
                    self.messages.append(json.loads(packet[2:])[1]["text"])

    async def _poll(self) -> list[str]:
        async with self._http.get(self._url, headers=self._headers) as answer:
            assert answer.status == 200, await answer.text()
            return (await answer.text()).split("\x1e")

    async def _post(self, packet: str) -> None:
        async with self._http.post(self._url, headers=self._headers, data=packet) as answer:
            assert answer.status == 200, await answer.text()
