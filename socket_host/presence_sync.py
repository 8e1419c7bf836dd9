"""Presence sync: hosts report to each other which visitors are in their rooms.

A host announces changes among its own visitors in small, numbered announcements. Its heartbeats
contain the number of the last one. A host that has seen a different number, because it is new or
the bus was down, requests a full report.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from functions.contract.bus import MAX_BYTES
from functions.contract.session import Session
from socket_host.bus import Bus

GATHER = 0.2  # seconds during which changes are collected for one announcement

_SUBJECT = "attendance"

_ALL_PAUSE = 1.0  # seconds between two full reports, however many hosts request one

# Bytes kept of one host's reports, including the parts of a full report, and of all hosts' reports.
MAX_REPORT_BYTES = 32 * 1024 * 1024
MAX_BYTES_OF_ALL = 128 * 1024 * 1024
_PLACE_BYTES = 500  # of a place, besides its strings

_PART = 2_000  # changes or visitors in one announcement
_PART_BYTES = MAX_BYTES - 1_024

Place = tuple[str, Session]  # a room, and a visitor in it


@dataclass
class _Report:
    """What one other host has reported."""

    number: int = 0  # of its last announcement
    places: set[Place] = field(default_factory=set)
    size: int = 0  # of the places, in bytes
    # Of an incomplete full report: the places so far, their size, and the number of parts.
    coming: dict[Place, None] = field(default_factory=dict)
    coming_size: int = 0
    parts: int = 0

    @property
    def bytes(self) -> int:
        """The size of the report."""
        return self.size + self.coming_size

    def begin(self) -> None:
        """Discard the parts of a full report."""
        self.coming, self.coming_size, self.parts = {}, 0, 0


class PresenceSync:
    """Who is in which room on the other hosts, and the reports to them. Each namespace has one.

    `places()` returns this host's own places. `changed(place, here)` is called when a visitor
    enters or leaves a room on another host. A host that is alone reports nothing.
    """

    def __init__(
        self,
        bus: Bus,
        places: Callable[[], Iterable[Place]],
        changed: Callable[[Place, bool], object],
        namespace: str = "/",
    ) -> None:
        self._subject = _SUBJECT + namespace.rstrip("/")
        self._bus = bus
        self._places = places
        self._changed = changed
        self._number = 0  # of our last announcement
        self._news: dict[Place, bool] = {}  # changes since the last announcement
        self._reports: dict[str, _Report] = {}  # by host
        self._to_ask: set[str] = set()
        self._size = 0  # of all reports, in bytes
        self._timer: asyncio.TimerHandle | None = None
        self._all_timer: asyncio.TimerHandle | None = None  # for a full report
        self._published_all_at = float("-inf")  # by the loop's clock
        bus.subscribe(self._subject, self._receive)
        bus.peers.subscribe(lost=self._drop, heartbeat=self._compare)

    def note(self, place: Place, here: bool) -> None:
        """Announce soon that one of our visitors has entered or left a room."""
        if self._news.pop(place, None) is None:  # otherwise two changes have cancelled out
            self._news[place] = here
        self._publish_soon()

    def close(self) -> None:
        """Stop reporting."""
        for timer in (self._timer, self._all_timer):
            if timer:
                timer.cancel()

    # Publishing

    def _publish_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER, self._publish_changes)

    def _publish_all_soon(self) -> None:
        if self._all_timer is None:
            loop = asyncio.get_running_loop()
            at = max(loop.time() + GATHER, self._published_all_at + _ALL_PAUSE)
            self._all_timer = loop.call_at(at, self._publish_all)

    def _publish_changes(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        news, self._news = self._news, {}
        for part in _parts([[*_written(place), here] for place, here in news.items()]):
            self._announce({"news": part, "number": self._next_number()})
        if self._to_ask:
            self._announce({"ask": list(self._to_ask)})
            self._to_ask.clear()

    def _publish_all(self) -> None:
        self._all_timer, self._published_all_at = None, asyncio.get_running_loop().time()
        self._publish_changes()  # first, because the report includes them and carries their number
        parts = list(_parts([_written(place) for place in self._places()])) or [[]]
        for index, part in enumerate(parts):
            place = {"part": index, "of": len(parts), "number": self._number}
            self._announce({"all": part, **place})

    def _announce(self, body: Mapping[str, Any]) -> None:
        if self._bus.peers:  # hosts that start later ask for a report
            self._bus.announce(self._subject, body)

    def _next_number(self) -> int:
        self._number += 1
        self._bus.peers.state[self._subject] = self._number
        return self._number

    # Receiving

    def _receive(self, host: str, body: Any) -> None:
        if host not in self._bus.peers:  # if it has stopped, its places would stay forever
            return
        report = self._reports.setdefault(host, _Report())
        match body:
            case {"ask": hosts} if self._bus.host_id in hosts:
                self._publish_all_soon()
            case {"news": news, "number": number} if number == report.number + 1:
                report.number = number
                self._apply(report, [(_read(item), item[3]) for item in news])
            case {"all": part, "part": index, "of": parts, "number": number}:
                if number != report.number:  # otherwise another host has requested this report
                    self._gather(report, part, index, parts, number)

    def _compare(self, host: str, state: Mapping[str, Any]) -> None:
        """Request a full report from a host if we have missed announcements."""
        report = self._reports.get(host) or _Report()
        if state.get(self._subject, 0) != report.number:
            self._to_ask.add(host)
            self._publish_soon()

    def _gather(self, report: _Report, part: Any, index: int, parts: int, number: int) -> None:
        if index == 0:
            self._begin(report)
        if index != report.parts:  # a part is missing: request it all again later
            return
        report.parts += 1
        for place in map(_read, part):
            if place not in report.coming and self._has_room(report, place):
                report.coming[place] = None
                report.coming_size += _size(place)
                self._size += _size(place)
        if report.parts == parts:
            places = report.coming
            self._begin(report)
            report.number = number
            gone = [(place, False) for place in report.places if place not in places]
            came = [(place, True) for place in places if place not in report.places]
            self._apply(report, gone + came)

    def _begin(self, report: _Report) -> None:
        self._size -= report.coming_size
        report.begin()

    def _drop(self, host: str) -> None:
        self._to_ask.discard(host)
        if report := self._reports.pop(host, None):
            self._begin(report)
            self._apply(report, [(place, False) for place in report.places])

    def _apply(self, report: _Report, changes: Iterable[tuple[Place, bool]]) -> None:
        for place, here in changes:
            if here == (place in report.places) or (here and not self._has_room(report, place)):
                continue
            (report.places.add if here else report.places.remove)(place)
            size = _size(place) if here else -_size(place)
            report.size += size
            self._size += size
            self._changed(place, here)

    def _has_room(self, report: _Report, place: Place) -> bool:
        """Return whether a place fits; others are missing until the next full report."""
        size = _size(place)
        if report.bytes + size <= MAX_REPORT_BYTES and self._size + size <= MAX_BYTES_OF_ALL:
            return True
        self._bus.refuse("too many visitors")
        return False


def _parts(items: list[Any]) -> Iterator[list[Any]]:
    """Yield the items in lists that are small enough for the bus."""
    # Their ASCII form is at least as long as that on the bus.
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


def _size(place: Place) -> int:
    room, session = place
    return _PLACE_BYTES + len(room) + len(session.id) + len(session.name)
