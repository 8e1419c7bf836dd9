"""The victim: a host in a process of its own whose processor time and memory a test measures."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.kit.hosts import PATIENCE, ROOT, environ

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Victim:
    """A host under attack. Linux only: it is measured by what /proc says."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, url: str) -> None:
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self._process = process
        self._log = log
        self._proc = Path(f"/proc/{process.pid}")

    def pin(self, core: int) -> None:
        """Have the host run on one core only."""
        os.sched_setaffinity(self._process.pid, {core})

    def cpu(self) -> float:
        """Return the seconds of processor the host has used so far."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def rss(self) -> int:
        """Return the bytes of memory the host has now."""
        return int((self._proc / "statm").read_text().split()[1]) * _PAGE

    def log(self) -> list[str]:
        """Return what the host has written to its log, line by line."""
        return self._log.read_text(errors="replace").splitlines()

    async def health(self) -> dict[str, Any]:
        """Return what /health says."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(b"GET /health HTTP/1.1\r\nHost: victim\r\nConnection: close\r\n\r\n")
            async with asyncio.timeout(PATIENCE):
                answer = await reader.read()
        finally:
            writer.close()
        health: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
        return health


@asynccontextmanager
async def victim(folder: Path, **settings: str) -> AsyncIterator[Victim]:
    """Run a host with the settings of a production host, changed by `settings`."""
    log = folder / "victim.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.small_app",
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]} | environ(folder, **settings),
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
    try:
        assert process.stdout
        async with asyncio.timeout(PATIENCE):
            line = (await process.stdout.readline()).decode()
        assert line.startswith("Socket host listening on "), log.read_text()
        yield Victim(process, log, line.split()[-1])
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
