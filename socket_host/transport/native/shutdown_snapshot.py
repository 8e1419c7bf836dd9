"""The shutdown snapshot: a host that stops sends the others its replay buffer and its sessions.

It goes over the bus in pieces; the last one says what that host has received from the bus.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from functions.contract.bus import MAX_BYTES
from socket_host.bus.seen_messages import SeenMessages
from socket_host.transport.native.recovery import DisconnectedSession, Key, ReplayPoint
from socket_host.transport.native.replay_buffer import Entry, ReplayBuffer, Sent

_PIECE = MAX_BYTES // 2  # bytes, to be well below what the bus takes
_LARGEST = MAX_BYTES - 4_096  # bytes of one event or client: the rest is around it
_MOST = 4 * 1024 * 1024  # bytes of the newest events, and of the last clients: others begin anew


class ShutdownSnapshot:
    """What a host left. All it surely had lies before `position` in our own replay buffer.

    From `settled` on, everything there came after that host had ended; `late` are the positions
    between the two of what it has not had. Both are unknown until the bus has brought to us what it
    had brought to that host.
    """

    def __init__(self, position: int) -> None:
        self.position = position
        self.had: SeenMessages | None = None  # until all of it is here
        self.complete = asyncio.Event()
        self.completed_at = 0.0  # on the event loop's clock
        self.ahead: SeenMessages | None = None  # what it had, of those of whom we had not had all
        self.settled: int | None = None
        self.late: list[int] = []
        self._replay_buffer: ReplayBuffer | None = None
        self._disconnected: dict[Key, DisconnectedSession] = {}
        self._size = 0

    def __contains__(self, key: Key) -> bool:
        return key in self._disconnected

    @property
    def size(self) -> int:
        """Return about how many bytes it takes."""
        return self._size + 2 * (self._replay_buffer.size if self._replay_buffer else 0)

    def add(self, piece: Mapping[str, Any]) -> None:
        """Take in a piece of it."""
        if self._replay_buffer is None:
            self._replay_buffer = ReplayBuffer(0, piece["tag"], piece["position"])
        for entry in piece.get("entries", ()):
            self._replay_buffer.append(Entry.of(*entry))
        for client in piece.get("dropped", ()):
            disconnected = DisconnectedSession.of(*client)
            disconnected.size = disconnected.weigh()
            self._size += disconnected.size
            self._disconnected[disconnected.namespace, disconnected.sid] = disconnected
        if "had" in piece:
            self.had = SeenMessages.of(piece["had"])
            self.completed_at = asyncio.get_running_loop().time()
            self.complete.set()

    def take(
        self, key: Key, offset: str | None
    ) -> tuple[DisconnectedSession, ReplayPoint, list[Sent]] | None:
        """Return a client, its visit there and what it missed; None if not here, or too late."""
        if self.had is None or self._replay_buffer is None:
            return None
        if (disconnected := self.forget(key)) is None:
            return None
        if (replay_point := disconnected.replay_point.resumed(self._replay_buffer, offset)) is None:
            return None
        missed = disconnected.missed(self._replay_buffer, replay_point)
        return None if missed is None else (disconnected, replay_point, missed)

    def forget(self, key: Key) -> DisconnectedSession | None:
        """Forget a client, which is back at another host."""
        disconnected = self._disconnected.pop(key, None)
        if disconnected is not None:
            self._size -= disconnected.size
        return disconnected


def pieces(
    replay_buffer: ReplayBuffer, disconnected: list[DisconnectedSession], had: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield the pieces for `ShutdownSnapshot.add`; raise TypeError if something is no JSON."""
    start = min(one.replay_point.start for one in disconnected)
    about = {"tag": replay_buffer.tag, "position": replay_buffer.position}
    entries = (_fitting(entry) for entry in reversed(replay_buffer) if entry.position > start)
    for batch in _batches(_first(entries, _MOST)):
        yield about | {"entries": batch}
    clients = (one.to_json() for one in reversed(disconnected) if one.portable)
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
