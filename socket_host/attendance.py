"""The attendance: what hosts tell each other of the visitors in their rooms.

A host announces what changed among its own, a little at a time, and numbers these announcements.
Its heartbeats say the number of the last one. Who has heard another, because it is new or the bus
was away, asks for everything.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from functions.contract.bus import MAX_BYTES
from functions.contract.session import Session
from socket_host.bus import Bus

GATHER = 0.2  # seconds in which changes come together into one announcement

_SUBJECT = "attendance"

_PART = 2_000  # changes or visitors in one announcement, and their bytes: the rest is around them
_PART_BYTES = MAX_BYTES - 1_024

Place = tuple[str, Session]  # a room, and a visitor who is there


@dataclass
class _Report:
    """What another host has said."""

    number: int = 0  # of its last announcement
    places: set[Place] = field(default_factory=set)
    parts: list[Any] = field(default_factory=list)  # of a full report that is not yet complete


class Attendance:
    """Who is where on the other hosts, and what is to be told to them.

    `places()` gives all of this host's own. `changed(place, here)` is called when a visitor came to
    a room on another host, or left it. A host that is alone tells nobody.
    """

    def __init__(
        self,
        bus: Bus,
        places: Callable[[], Iterable[Place]],
        changed: Callable[[Place, bool], object],
    ) -> None:
        self._bus = bus
        self._places = places
        self._changed = changed
        self._number = 0  # of our last announcement
        self._news: dict[Place, bool] = {}  # whether one is there who was not at the last, or not
        self._reports: dict[str, _Report] = {}  # by host
        self._to_ask: set[str] = set()
        self._asked = False
        self._timer: asyncio.TimerHandle | None = None
        bus.hear(_SUBJECT, self._hear)
        bus.peers.watch(lost=self._drop, heard=self._compare)

    def note(self, place: Place, here: bool) -> None:
        """Have the others told that one of our visitors came to a room, or left it."""
        if self._news.pop(place, None) is None:  # else came and left, or left and came: no news
            self._news[place] = here
        self._tell_soon()

    def close(self) -> None:
        """Tell nothing any more."""
        if self._timer:
            self._timer.cancel()

    # What we say

    def _tell_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER, self._tell)

    def _tell(self) -> None:
        self._timer = None
        news, self._news = self._news, {}
        for part in _parts([[*_written(place), here] for place, here in news.items()]):
            self._say({"news": part, "number": self._next_number()})
        if self._asked:
            self._asked = False
            self._tell_all()
        if self._to_ask:
            self._say({"ask": list(self._to_ask)})
            self._to_ask.clear()

    def _tell_all(self) -> None:
        parts = list(_parts([_written(place) for place in self._places()])) or [[]]
        for index, part in enumerate(parts):
            place = {"part": index, "of": len(parts), "number": self._number}
            self._say({"all": part, **place})

    def _say(self, body: Mapping[str, Any]) -> None:
        if self._bus.peers:  # whoever comes later asks
            self._bus.announce(_SUBJECT, body)

    def _next_number(self) -> int:
        self._number += 1
        self._bus.peers.state[_SUBJECT] = self._number
        return self._number

    # What we hear

    def _hear(self, host: str, body: Any) -> None:
        if host not in self._bus.peers:  # it might be gone, and nobody would ever tell us
            return
        report = self._reports.setdefault(host, _Report())
        match body:
            case {"ask": hosts} if self._bus.host_id in hosts:
                self._asked = True
                self._tell_soon()
            case {"news": news, "number": number} if number == report.number + 1:
                report.number = number
                self._apply(report, [(_read(item), item[3]) for item in news])
            case {"all": part, "part": index, "of": parts, "number": number}:
                if number != report.number:  # else another host has asked
                    self._gather(report, part, index, parts, number)

    def _compare(self, host: str, state: Mapping[str, Any]) -> None:
        """Ask a host for everything if we have not heard its last announcement."""
        report = self._reports.get(host) or _Report()
        if state.get(_SUBJECT, 0) != report.number:
            self._to_ask.add(host)
            self._tell_soon()

    def _gather(self, report: _Report, part: Any, index: int, parts: int, number: int) -> None:
        if index == 0:
            report.parts = []
        if index != len(report.parts):  # one is missing: we shall ask again
            return
        report.parts.append(part)
        if len(report.parts) == parts:
            places = dict.fromkeys(_read(item) for part in report.parts for item in part)
            report.parts = []
            report.number = number
            gone = [(place, False) for place in report.places if place not in places]
            came = [(place, True) for place in places if place not in report.places]
            self._apply(report, gone + came)

    def _drop(self, host: str) -> None:
        self._to_ask.discard(host)
        if report := self._reports.pop(host, None):
            self._apply(report, [(place, False) for place in report.places])

    def _apply(self, report: _Report, changes: Iterable[tuple[Place, bool]]) -> None:
        for place, here in changes:
            if here == (place in report.places):
                continue
            (report.places.add if here else report.places.remove)(place)
            self._changed(place, here)


def _parts(items: list[Any]) -> Iterator[list[Any]]:
    """Yield the items in lists that the bus takes."""
    # Written in ASCII they are at least as long as on the bus.
    if len(items) > _PART or (len(items) > 1 and len(json.dumps(items)) > _PART_BYTES):
        middle = len(items) // 2
        yield from _parts(items[:middle])
        yield from _parts(items[middle:])
    elif items:
        yield items


def _written(place: Place) -> list[Any]:
    room, session = place
    return [room, session.id, session.name]


def _read(item: list[Any]) -> Place:
    return item[0], Session(item[1], item[2])
