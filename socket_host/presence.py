"""Presence: who is in which room. A person with two open tabs counts once."""

import asyncio
from collections.abc import Callable, Iterator
from contextvars import Context
from itertools import islice
from typing import Any

from functions.contract.session import Session
from socket_host.bus import Bus
from socket_host.bus.fields import MAX_NAME, is_name
from socket_host.presence_sync import Place, PresenceSync

MAX_NAMES = 50  # names in a room's `who`; the count has no such limit

PAUSE = 0.5  # seconds between two announcements of a room, however many people enter and leave
RECIPIENTS_PER_SECOND = 1_000  # recipients of announcements: pauses are longer for larger rooms


class Presence:
    """Who is in which room of one namespace, on all hosts of the bus.

    A client may be in several rooms. A person is identified by their session's id, and shown with
    the name under which they first entered a room. `announce(room)` is called soon after a change
    in a room where this host has clients, but not too often.
    """

    def __init__(self, announce: Callable[[str], object], bus: Bus, namespace: str = "/") -> None:
        self._announce = announce
        self._places: dict[str, dict[str, Session]] = {}  # by sid and room
        self._tabs: _Counts = {}  # on this host, by room and id
        self._present: _Counts = {}  # on how many hosts, by room and id
        self._pauses: dict[str, asyncio.TimerHandle] = {}  # by room, after an announcement
        self._changed: set[str] = set()  # rooms to announce when their pause is over
        self._presence_sync = PresenceSync(bus, self._own, self._count, namespace)
        self._closed = False

    def enter(self, sid: str, room: str, session: Session) -> None:
        """Add a client to a room; it stays in its other rooms.

        Raises ValueError if the room's name is not a string, or is too long for other hosts.
        """
        if not is_name(room):  # they would refuse all rooms of the same announcement
            raise ValueError(
                f"{room!r:.100} cannot be announced: a name is a string of at most {MAX_NAME:,} "
                "characters."
            )
        rooms = self._places.setdefault(sid, {})
        if room in rooms:
            return
        rooms[room] = session
        first, tabs = _add(self._tabs, (room, session), 1)
        if tabs == 1:
            self._presence_sync.note(first, True)
            self._count(first, True)

    def leave(self, sid: str, room: str | None = None) -> None:
        """Remove a client from a room, or from all rooms if `room` is None."""
        rooms = self._places.get(sid, {})
        for name in [*rooms] if room is None else [room] if room in rooms else []:
            place, tabs = _add(self._tabs, (name, rooms.pop(name)), -1)
            if not tabs:
                self._presence_sync.note(place, False)
                self._count(place, False)
        if not rooms:
            self._places.pop(sid, None)

    def rooms(self, sid: str | None = None) -> list[str]:
        """Return a client's rooms, or all rooms where this host has clients if `sid` is None."""
        return list(self._tabs if sid is None else self._places.get(sid, ()))

    def count(self, room: str) -> int:
        """Return the number of people in a room, on all hosts."""
        return len(self._present.get(room, ()))

    def who(self, room: str) -> dict[str, Any]:
        """Return the number of people in a room, and the names of those who entered first."""
        present = self._present.get(room, {})
        first = islice(present.values(), MAX_NAMES)
        return {"count": len(present), "names": [session.name for session, _ in first]}

    def close(self) -> None:
        """Stop announcing."""
        self._closed = True
        self._presence_sync.close()
        for pause in self._pauses.values():
            pause.cancel()
        self._pauses.clear()
        self._changed.clear()

    def _own(self) -> Iterator[Place]:
        return ((room, who) for room, tabs in self._tabs.items() for who, _ in tabs.values())

    def _count(self, place: Place, here: bool) -> None:
        """Count a visitor as present in a room on one host, or as no longer present."""
        _, hosts = _add(self._present, place, 1 if here else -1)
        if hosts == int(here):  # the first, or the last
            self._change(place[0])

    def _change(self, room: str) -> None:
        if self._closed:
            return
        if room in self._pauses:
            self._changed.add(room)
        elif room in self._tabs:  # otherwise this host has no recipients
            loop = asyncio.get_running_loop()
            pause = max(PAUSE, len(self._tabs[room]) / RECIPIENTS_PER_SECOND)
            self._pauses[room] = loop.call_later(pause, self._resume, room)
            # With an empty context, so that the visitor who caused it is not charged for it.
            Context().run(self._announce, room)

    def _resume(self, room: str) -> None:
        del self._pauses[room]
        if room in self._changed:
            self._changed.remove(room)
            self._change(room)


# How often each person is in each room, and the session with which they first entered.
_Counts = dict[str, dict[str, tuple[Session, int]]]


def _add(counts: _Counts, place: Place, number: int) -> tuple[Place, int]:
    """Add to the count of a place, and drop it when the count is zero.

    Returns the place with the first session, and the count.
    """
    room, session = place
    people = counts.setdefault(room, {})
    first, count = people.get(session.id, (session, 0))
    count += number
    if count:
        people[session.id] = first, count
    else:
        del people[session.id]
        if not people:
            del counts[room]
    return (room, first), count
