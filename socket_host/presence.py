"""Presence: which sessions are in which room. A visitor with two tabs open is there once."""

import asyncio
from collections.abc import Callable
from itertools import islice
from typing import Any

from functions.contract.session import Session

MAX_NAMES = 50  # a room's `who` names; its count goes on

PAUSE = 0.5  # seconds between two announcements of one room, however many come and go


class Presence:
    """Who is where. `announce(room)` is called when that has changed, soon and not too often."""

    def __init__(self, announce: Callable[[str], object]) -> None:
        self._announce = announce
        self._places: dict[str, tuple[str, Session]] = {}  # by sid
        self._tabs: dict[str, dict[Session, int]] = {}  # by room
        self._pauses: dict[str, asyncio.TimerHandle] = {}  # by room, after an announcement
        self._changed: set[str] = set()  # rooms to announce when their pause is over

    def enter(self, sid: str, room: str, session: Session) -> None:
        """Note that a client is in a room now, and no longer where it was."""
        if self.room(sid) == room:
            return
        self.leave(sid)
        self._places[sid] = room, session
        tabs = self._tabs.setdefault(room, {})
        tabs[session] = tabs.get(session, 0) + 1
        if tabs[session] == 1:
            self._change(room)

    def leave(self, sid: str) -> None:
        """Note that a client is in no room any more."""
        if sid not in self._places:
            return
        room, session = self._places.pop(sid)
        tabs = self._tabs[room]
        tabs[session] -= 1
        if tabs[session]:
            return
        del tabs[session]
        if not tabs:
            del self._tabs[room]
        self._change(room)

    def room(self, sid: str) -> str | None:
        """Return the room a client is in."""
        place = self._places.get(sid)
        return place and place[0]

    def who(self, room: str) -> dict[str, Any]:
        """Return how many are in a room, and the names of those that came first."""
        tabs = self._tabs.get(room, {})
        return {"count": len(tabs), "names": [s.name for s in islice(tabs, MAX_NAMES)]}

    def close(self) -> None:
        """Announce nothing any more."""
        for pause in self._pauses.values():
            pause.cancel()
        self._pauses.clear()
        self._changed.clear()

    def _change(self, room: str) -> None:
        if room in self._pauses:
            self._changed.add(room)
            return
        loop = asyncio.get_running_loop()
        self._pauses[room] = loop.call_later(PAUSE, self._resume, room)
        if room in self._tabs:  # else nobody is left to hear it
            self._announce(room)

    def _resume(self, room: str) -> None:
        del self._pauses[room]
        if room in self._changed:
            self._changed.remove(room)
            self._change(room)
