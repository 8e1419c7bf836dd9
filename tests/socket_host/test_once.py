"""A `once` task runs on one host, whatever happens to hosts."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.kit.hosts import HostProcess, environ, host_process
from tests.kit.waiting import until

pytestmark = pytest.mark.together("waiting")


class Ledger:
    """What hosts did, in order: each host's name, and the number of its lease.

    Like a store with conditional writes, it refuses smaller numbers than it has seen.
    """

    def __init__(self) -> None:
        self.acts: list[tuple[str, int]] = []
        self.refused: list[tuple[str, int]] = []
        self.stops = ""  # the host that has to pause when it begins next

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        what, name, number = (await reader.readline()).decode().split()
        answer = "go"
        if what == "begins" and name == self.stops:
            self.stops, answer = "", "stop"
        if what == "acts":
            late = bool(self.acts) and int(number) < self.acts[-1][1]
            (self.refused if late else self.acts).append((name, int(number)))
        writer.write(f"{answer}\n".encode())
        writer.close()

    def largest(self, name: str) -> int:
        """The largest number with which a host has acted."""
        return max((number for one, number in self.acts if one == name), default=0)

    def beyond(self, name: str, number: int) -> Callable[[], bool]:
        """Whether a host has acted with a larger number."""
        return lambda: self.largest(name) > number

    def check(self) -> None:
        """Assert that each number belongs to one host."""
        assert len(set(self.acts)) == len({number for _, number in self.acts})


@asynccontextmanager
async def ledger() -> AsyncIterator[tuple[Ledger, str]]:
    """A ledger, and the port where hosts reach it."""
    kept = Ledger()
    server = await asyncio.start_server(kept.serve, "127.0.0.1", 0)
    try:
        yield kept, str(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        kept.check()


@asynccontextmanager
async def host(folder: Path, name: str, port: str) -> AsyncIterator[HostProcess]:
    """A host in its own process, which shares a folder's lease with others."""
    settings = environ(folder, NAME=name, LEDGER=port)
    async with host_process(settings, "tests.socket_host.once_host") as process:
        await process.ready()
        yield process


async def test_another_takes_over(tmp_path: Path) -> None:
    """One of two hosts acts; when it is killed, the other does; when that stops, a third."""
    async with ledger() as (kept, port), host(tmp_path, "a", port) as a:
        await until(kept.beyond("a", 0))
        async with host(tmp_path, "b", port) as b:
            a.process.kill()
            await until(kept.beyond("b", kept.largest("a")))
            async with host(tmp_path, "c", port):
                b.process.terminate()
                await until(kept.beyond("c", kept.largest("b")))


async def test_paused_host(tmp_path: Path) -> None:
    """Work that a host began before it was paused is late, which its number shows.

    It acts again with a larger number, once the host that took over is dead.
    """
    async with ledger() as (kept, port), host(tmp_path, "a", port) as a:
        await until(kept.beyond("a", 0))
        kept.stops = "a"
        await until(lambda: not kept.stops)
        async with host(tmp_path, "b", port) as b:
            await until(kept.beyond("b", 0))
            a.process.send_signal(signal.SIGCONT)
            await until(lambda: kept.refused)
            b.process.kill()
            await until(kept.beyond("a", kept.largest("b")))
        assert {name for name, _ in kept.refused} == {"a"}
