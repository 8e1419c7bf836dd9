"""Resync: sends rooms the number of their last message after a host was lost or the bus was down.

A host that is killed may have stored and acked a message without publishing it, and Redis keeps
nothing for a host whose connection is cut. A client that lacks a message sees from the number that
there is one, and requests it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from socket_host.bus import Bus
from socket_host.event_error import EventError

PAUSE = 1.0  # seconds between two rounds, and between two tries to read an unavailable log


class Resync:
    """Calls `send(room, seq)` for each of `rooms()` after the bus has lost a host, or messages.

    `last(room)` reads the number of a room's last message. It is called for one room at a time, so
    that clients' own requests to the room log need not wait.
    """

    def __init__(
        self,
        bus: Bus,
        rooms: Callable[[], Iterable[str]],
        last: Callable[[str], Awaitable[int]],
        send: Callable[[str, int], object],
    ) -> None:
        self._rooms = rooms
        self._last = last
        self._send = send
        self._due = asyncio.Event()
        bus.peers.subscribe(lost=lambda host: self._due.set())
        bus.on_gap(self._due.set)

    async def resync_rooms(self) -> None:
        """Send rooms the number of their last message whenever that is due, until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()  # losses from now on are for the next round
            for room in list(self._rooms()):
                self._send(room, await self._read(room))
            await asyncio.sleep(PAUSE)

    async def _read(self, room: str) -> int:
        while True:
            try:
                return await self._last(room)
            except EventError:
                await asyncio.sleep(PAUSE)
