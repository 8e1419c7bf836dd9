"""The victim: a host in its own process, whose processor time and memory a test measures."""

import asyncio
import json
import multiprocessing
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from socket_host.__main__ import main
from tests.kit.hosts import PATIENCE, environ
from tests.kit.waiting import until
from tests.small_app.events import namespaces
from tests.small_app.model.settings import settings as declared

# Hosts are forked from a process that has done their imports, which take most of a start.
# `__main__` is the test runner, which each host would import otherwise.
_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(["__main__", "tests.hostile.victim", "uvloop"])

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Victim:
    """A host under attack. Linux only, because measurements use /proc."""

    def __init__(self, pid: int, log: Path, url: str) -> None:
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self._pid = pid
        self._log = log
        self._proc = Path(f"/proc/{pid}")

    def pin(self, core: int) -> None:
        """Run the host on one core only."""
        os.sched_setaffinity(self._pid, {core})

    def cpu(self) -> float:
        """Return the processor seconds that the host has used so far."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def rss(self) -> int:
        """Return the host's memory in bytes."""
        return int((self._proc / "statm").read_text().split()[1]) * _PAGE

    def log(self) -> list[str]:
        """Return the lines of the host's log."""
        return self._log.read_text(errors="replace").splitlines()

    async def health(self) -> dict[str, Any]:
        """Return the response of /health."""
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
    """Run a host with production settings, changed by `settings`."""
    out, log = folder / "victim.out", folder / "victim.log"
    out.write_bytes(b"")
    log.write_bytes(b"")
    variables = {"PATH": os.environ["PATH"]} | environ(folder, **settings)
    process = _FORKING.Process(target=_serve, args=(variables, out, log), daemon=True)
    process.start()
    try:
        await until(lambda: out.read_text().endswith("\n") or not process.is_alive())
        line = out.read_text()
        assert line.startswith("Socket host listening on "), log.read_text()
        yield Victim(process.pid, log, line.split()[-1])
    finally:
        process.kill()
        process.join()
        process.close()


def _serve(environ: dict[str, str], out: Path, log: Path) -> None:
    """Do what `python -m tests.small_app` does, in a forked process."""
    for number, file in ((1, out), (2, log)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_APPEND), number)
    os.environ.clear()
    os.environ.update(environ)
    sys.exit(main(namespaces, declared))
