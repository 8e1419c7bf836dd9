"""Presence: which sessions are in which room. A visitor with two tabs open is there once."""

import asyncio
from collections.abc import Callable, Iterator
from contextvars import Context
from itertools import islice
from typing import Any

from functions.contract.session import Session
from socket_host.attendance import Attendance, Place
from socket_host.bus import Bus

MAX_NAMES = 50  # a room's `who` names; its count goes on

PAUSE = 0.5  # seconds between two announcements of one room, however many come and go
TOLD_PER_SECOND = 1_000  # visitors that are told of their room: a crowd's pauses are longer


class Presence:
    """Who is where, on all hosts of the bus.

    `announce(room)` is called when that has changed in a room where this host has clients, soon and
    not too often.
    """

    def __init__(self, announce: Callable[[str], object], bus: Bus) -> None:
        self._announce = announce
        self._places: dict[str, Place] = {}  # by sid
        self._tabs: dict[str, dict[Session, int]] = {}  # on this host, by room
        self._present: dict[str, dict[Session, int]] = {}  # on how many hosts, by room
        self._pauses: dict[str, asyncio.TimerHandle] = {}  # by room, after an announcement
        self._changed: set[str] = set()  # rooms to announce when their pause is over
        self._attendance = Attendance(bus, self._own, self._count)
        self._closed = False

    def enter(self, sid: str, room: str, session: Session) -> None:
        """Note that a client is in a room now, and no longer where it was."""
        if self.room(sid) == room:
            return
        self.leave(sid)
        self._places[sid] = room, session
        if _add(self._tabs, (room, session), 1) == 1:
            self._attendance.note((room, session), True)
            self._count((room, session), True)

    def leave(self, sid: str) -> None:
        """Note that a client is in no room any more."""
        place = self._places.pop(sid, None)
        if place and _add(self._tabs, place, -1) == 0:
            self._attendance.note(place, False)
            self._count(place, False)

    def room(self, sid: str) -> str | None:
        """Return the room a client is in."""
        place = self._places.get(sid)
        return place and place[0]

    def rooms(self) -> list[str]:
        """Return the rooms in which this host has clients."""
        return list(self._tabs)

    def count(self, room: str) -> int:
        """Return how many are in a room, on all hosts."""
        return len(self._present.get(room, ()))

    def who(self, room: str) -> dict[str, Any]:
        """Return how many are in a room, and the names of those that came first."""
        present = self._present.get(room, {})
        return {"count": len(present), "names": [s.name for s in islice(present, MAX_NAMES)]}

    def close(self) -> None:
        """Announce nothing any more."""
        self._closed = True
        self._attendance.close()
        for pause in self._pauses.values():
            pause.cancel()
        self._pauses.clear()
        self._changed.clear()

    def _own(self) -> Iterator[Place]:
        return ((room, session) for room, tabs in self._tabs.items() for session in tabs)

    def _count(self, place: Place, here: bool) -> None:
        """Note that a visitor is in a room of a host, or no longer."""
        hosts = _add(self._present, place, 1 if here else -1)
        if hosts == int(here):  # the first, or the last
            self._change(place[0])

    def _change(self, room: str) -> None:
        if self._closed:
            return
        if room in self._pauses:
            self._changed.add(room)
        elif room in self._tabs:  # else nobody is here to hear it
            loop = asyncio.get_running_loop()
            pause = max(PAUSE, len(self._tabs[room]) / TOLD_PER_SECOND)
            self._pauses[room] = loop.call_later(pause, self._resume, room)
            # With an empty context: what all have caused is not charged to the last of them.
            Context().run(self._announce, room)

    def _resume(self, room: str) -> None:
        del self._pauses[room]
        if room in self._changed:
            self._changed.remove(room)
            self._change(room)


def _add(counts: dict[str, dict[Session, int]], place: Place, number: int) -> int:
    """Add to the count of a place, of which nothing is kept once it is none; return it."""
    room, session = place
    sessions = counts.setdefault(room, {})
    count = sessions.get(session, 0) + number
    if count:
        sessions[session] = count
        return count
    del sessions[session]
    if not sessions:
        del counts[room]
    return 0
