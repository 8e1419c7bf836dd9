"""Hosts on one bus, between which clients move."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from socket_host.app import SocketHost
from tests.kit.hosts import serving, url
from tests.kit.waiting import until
from tests.socket_host.transport.recovering import Rooms, Visitor


class Hosts:
    """Hosts on one bus; those still running are stopped at the end."""

    def __init__(self, folder: Path, bus: str) -> None:
        self._folder = folder
        self._bus = bus
        self._running: list[tuple[SocketHost, AsyncExitStack]] = []

    async def start(self) -> SocketHost:
        """Start a host, and wait until it and the others know each other."""
        host = await self.start_unknown()
        others = len(self._running) - 1
        for one, _ in self._running:
            await until(lambda one=one: len(one.bus.peers) == others)
        return host

    async def start_unknown(self) -> SocketHost:
        """Start a host that may not know the others yet."""
        stack = AsyncExitStack()
        host = await stack.enter_async_context(
            serving(self._folder, Rooms, origins=None, bus=self._bus)
        )
        self._running.append((host, stack))
        return host

    async def stop(self, host: SocketHost) -> None:
        """Stop a host as on SIGTERM."""
        (found,) = [entry for entry in self._running if entry[0] is host]
        self._running.remove(found)
        await host.drain()
        await found[1].aclose()

    async def stop_all(self) -> None:
        while self._running:
            await self.stop(self._running[-1][0])


@asynccontextmanager
async def hosts(folder: Path, bus: str) -> AsyncIterator[Hosts]:
    running = Hosts(folder, bus)
    try:
        yield running
    finally:
        await running.stop_all()


async def move(visitor: Visitor, host: SocketHost) -> bool:
    """Reconnect a client to a host; return whether it was recovered."""
    await visitor.client.script(f"socket.io.uri = '{url(host)}'")
    return await visitor.back()
