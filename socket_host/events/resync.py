"""Resync: rooms are told their last number when another host is gone, or the bus was away.

A host that is killed may have stored a message, and acked it, and never told the others; Redis
keeps nothing for a host whose connection is cut. Whoever lacks a message learns so that there is
one, and asks for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from socket_host.bus import Bus
from socket_host.event_error import EventError

PAUSE = 1.0  # seconds between two rounds, and before the log is asked again if it is away


class Resync:
    """Calls `tell(room, seq)` for each of `rooms()` after the bus has lost a host, or messages.

    `last(room)` reads a room's last number. It is called for one room at a time, so that what
    clients ask of the room log meanwhile need not wait.
    """

    def __init__(
        self,
        bus: Bus,
        rooms: Callable[[], Iterable[str]],
        last: Callable[[str], Awaitable[int]],
        tell: Callable[[str, int], object],
    ) -> None:
        self._rooms = rooms
        self._last = last
        self._tell = tell
        self._due = asyncio.Event()
        bus.peers.subscribe(lost=lambda host: self._due.set())
        bus.on_gap(self._due.set)

    async def resync_rooms(self) -> None:
        """Tell rooms their last number whenever that is due; a task without an end."""
        while True:
            await self._due.wait()
            self._due.clear()  # what is lost from now on is the next round's
            for room in list(self._rooms()):
                self._tell(room, await self._read(room))
            await asyncio.sleep(PAUSE)

    async def _read(self, room: str) -> int:
        while True:
            try:
                return await self._last(room)
            except EventError:
                await asyncio.sleep(PAUSE)
