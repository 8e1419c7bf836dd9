"""What is to be done once is done by one host, whatever becomes of hosts."""

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
    """What hosts did, in its order: the name of each, and the number of its lease.

    As a store with conditional writes it refuses what comes by a smaller number than it has had.
    """

    def __init__(self) -> None:
        self.acts: list[tuple[str, int]] = []
        self.refused: list[tuple[str, int]] = []
        self.stops = ""  # the host that is told to stand still when it begins for the next time

    async def hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
        """The largest number by which a host has acted."""
        return max((number for one, number in self.acts if one == name), default=0)

    def beyond(self, name: str, number: int) -> Callable[[], bool]:
        """Whether a host has acted by a larger number."""
        return lambda: self.largest(name) > number

    def check(self) -> None:
        """Each number is one host's."""
        assert len(set(self.acts)) == len({number for _, number in self.acts})


@asynccontextmanager
async def ledger() -> AsyncIterator[tuple[Ledger, str]]:
    """A ledger, and the port where hosts reach it."""
    kept = Ledger()
    server = await asyncio.start_server(kept.hear, "127.0.0.1", 0)
    try:
        yield kept, str(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        kept.check()


@asynccontextmanager
async def host(folder: Path, name: str, port: str) -> AsyncIterator[HostProcess]:
    """A host of its own process, which shares the lease with the others of a folder."""
    settings = environ(folder, NAME=name, LEDGER=port)
    async with host_process(settings, "tests.socket_host.once_host") as process:
        await process.ready()
        yield process


async def test_another_takes_over(tmp_path: Path) -> None:
    """One of two hosts acts; when it is killed the other does, and a third when that stops."""
    async with ledger() as (kept, port), host(tmp_path, "a", port) as a:
        await until(kept.beyond("a", 0))
        async with host(tmp_path, "b", port) as b:
            a.process.kill()
            await until(kept.beyond("b", kept.largest("a")))
            async with host(tmp_path, "c", port):
                b.process.terminate()
                await until(kept.beyond("c", kept.largest("b")))


async def test_host_that_stood_still(tmp_path: Path) -> None:
    """What a host began before it stood still comes too late, and its number shows that.

    It acts again by a larger one, once the host that took over is dead.
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
