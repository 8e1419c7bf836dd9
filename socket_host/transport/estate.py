"""The estate: what a host that ends leaves to the others, its journal and who may come back.

It goes over the bus in pieces; the last one says what that host has had of the bus.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from functions.contract.bus import MAX_BYTES
from socket_host.bus.memory import Memory
from socket_host.transport.journal import Entry, Journal, Sent
from socket_host.transport.recovery import Dropped, Key

_PIECE = MAX_BYTES // 2  # bytes, to be well below what the bus takes
_MOST = 4 * 1024 * 1024  # bytes of events, the newest: whoever has missed more begins anew


class Estate:
    """What a host has left. What it has surely had came before `position` in our own journal."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.had: Memory | None = None  # until all of it is here
        self._journal: Journal | None = None
        self._dropped: dict[Key, Dropped] = {}

    def add(self, piece: Mapping[str, Any]) -> None:
        """Take in a piece of it."""
        if self._journal is None:
            self._journal = Journal(0, piece["tag"], piece["position"])
        for entry in piece.get("entries", ()):
            self._journal.append(Entry.of(*entry))
        for client in piece.get("dropped", ()):
            dropped = Dropped.of(*client)
            self._dropped[dropped.namespace, dropped.sid] = dropped
        if "had" in piece:
            self.had = Memory.of(piece["had"])

    def take(self, key: Key, offset: str | None) -> tuple[Dropped, list[Sent]] | None:
        """Return a client and what it had missed there; None if it is not here, or too late."""
        if self.had is None or self._journal is None or key not in self._dropped:
            return None
        dropped = self._dropped.pop(key)
        missed = dropped.missed(self._journal, offset)
        return None if missed is None else (dropped, missed)

    def forget(self, key: Key) -> None:
        """Forget a client, which is back at another host."""
        self._dropped.pop(key, None)


def pieces(
    journal: Journal, dropped: list[Dropped], had: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield what a host leaves, as `Estate.add` takes it; raise TypeError if it is no JSON."""
    start = min(one.visit.start for one in dropped)
    about = {"tag": journal.tag, "position": journal.position}
    entries = _newest(entry for entry in journal if entry.position > start)
    for batch in _batches(entry.to_json() for entry in entries):
        yield about | {"entries": batch}
    for batch in _batches(one.to_json() for one in dropped if one.portable):
        yield about | {"dropped": batch}
    yield about | {"had": had}


def _newest(entries: Iterable[Entry]) -> list[Entry]:
    """Return the newest entries, oldest first, as many as may be left."""
    kept: list[Entry] = []
    room = _MOST
    for entry in reversed(list(entries)):
        room -= len(entry.message.frames)
        if room < 0:
            break
        kept.append(entry)
    return kept[::-1]


def _batches(items: Iterable[list[Any]]) -> Iterator[list[Any]]:
    batch: list[Any] = []
    size = 0
    for item in items:
        length = len(json.dumps(item))
        if batch and size + length > _PIECE:
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += length
    if batch:
        yield batch
