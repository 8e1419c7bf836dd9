"""The estate: what a host that ends leaves to the others, its journal and who may come back.

It goes over the bus in pieces; the last one says what that host has had of the bus.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from functions.contract.bus import MAX_BYTES
from socket_host.bus.memory import Memory
from socket_host.transport.native.journal import Entry, Journal, Sent
from socket_host.transport.native.recovery import Dropped, Key, Visit

_PIECE = MAX_BYTES // 2  # bytes, to be well below what the bus takes
_LARGEST = MAX_BYTES - 4_096  # bytes of one event or client: the rest is around it
_MOST = 4 * 1024 * 1024  # bytes of the newest events, and of the last clients: others begin anew


class Estate:
    """What a host has left. What it has surely had came before `position` in our own journal.

    From `settled` on, everything there came after that host had ended; `late` are the positions
    between the two of what it has not had. Both are unknown until the bus has brought to us what it
    had brought to that host.
    """

    def __init__(self, position: int) -> None:
        self.position = position
        self.had: Memory | None = None  # until all of it is here
        self.complete = asyncio.Event()
        self.completed_at = 0.0  # on the event loop's clock
        self.ahead: Memory | None = None  # what it had, of those of whom we had not had all
        self.settled: int | None = None
        self.late: list[int] = []
        self._journal: Journal | None = None
        self._dropped: dict[Key, Dropped] = {}
        self._size = 0

    def __contains__(self, key: Key) -> bool:
        return key in self._dropped

    @property
    def size(self) -> int:
        """Return about how many bytes it takes."""
        return self._size + 2 * (self._journal.size if self._journal else 0)

    def add(self, piece: Mapping[str, Any]) -> None:
        """Take in a piece of it."""
        if self._journal is None:
            self._journal = Journal(0, piece["tag"], piece["position"])
        for entry in piece.get("entries", ()):
            self._journal.append(Entry.of(*entry))
        for client in piece.get("dropped", ()):
            dropped = Dropped.of(*client)
            dropped.size = dropped.weigh()
            self._size += dropped.size
            self._dropped[dropped.namespace, dropped.sid] = dropped
        if "had" in piece:
            self.had = Memory.of(piece["had"])
            self.completed_at = asyncio.get_running_loop().time()
            self.complete.set()

    def take(self, key: Key, offset: str | None) -> tuple[Dropped, Visit, list[Sent]] | None:
        """Return a client, its visit there and what it missed; None if not here, or too late."""
        if self.had is None or self._journal is None:
            return None
        if (dropped := self.forget(key)) is None:
            return None
        if (visit := dropped.visit.resumed(self._journal, offset)) is None:
            return None
        missed = dropped.missed(self._journal, visit)
        return None if missed is None else (dropped, visit, missed)

    def forget(self, key: Key) -> Dropped | None:
        """Forget a client, which is back at another host."""
        dropped = self._dropped.pop(key, None)
        if dropped is not None:
            self._size -= dropped.size
        return dropped


def pieces(
    journal: Journal, dropped: list[Dropped], had: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield what a host leaves, as `Estate.add` takes it; raise TypeError if it is no JSON."""
    start = min(one.visit.start for one in dropped)
    about = {"tag": journal.tag, "position": journal.position}
    entries = (_fitting(entry) for entry in reversed(journal) if entry.position > start)
    for batch in _batches(_first(entries, _MOST)):
        yield about | {"entries": batch}
    clients = (one.to_json() for one in reversed(dropped) if one.portable)
    for batch in _batches(_first((one for one in clients if _length(one) < _LARGEST), _MOST)):
        yield about | {"dropped": batch}
    yield about | {"had": had}


def _fitting(entry: Entry) -> list[Any]:
    """Return an entry as JSON, without its event if the bus would not take that."""
    if entry.message is not None:
        written = entry.to_json()
        if _length(written) < _LARGEST:
            return written
    return entry._replace(message=None).to_json()


def _first(items: Iterable[list[Any]], most: int) -> list[list[Any]]:
    """Return the first items, as many as `most` bytes hold, in the opposite order."""
    kept: list[list[Any]] = []
    for item in items:
        most -= _length(item)
        if most < 0:
            break
        kept.append(item)
    return kept[::-1]


def _batches(items: Iterable[list[Any]]) -> Iterator[list[Any]]:
    batch: list[Any] = []
    size = 0
    for item in items:
        length = _length(item)
        if batch and size + length > _PIECE:
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += length
    if batch:
        yield batch


def _length(item: list[Any]) -> int:
    return len(json.dumps(item))
