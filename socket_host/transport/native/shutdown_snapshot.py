"""The shutdown snapshot: a host that stops sends its replay buffer and its sessions to the others.

It goes over the bus in pieces. The last one lists what that host has received from the bus.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from functions.contract.bus import MAX_BYTES
from socket_host.bus.announcement_schema import is_dropped, is_entry
from socket_host.bus.seen_messages import SeenMessages
from socket_host.transport.native.recovery import DisconnectedSession, Key, ReplayPoint
from socket_host.transport.native.replay_buffer import Entry, ReplayBuffer, Sent

_PIECE = MAX_BYTES // 2  # bytes, well below the limit of the bus
_LARGEST = MAX_BYTES - 4_096  # bytes of one event or session, with room for the message around it
_MOST = 4 * 1024 * 1024  # bytes of the newest events, and of the newest sessions; others are lost


class ShutdownSnapshot:
    """The snapshot of another host, completed with events that only this host received.

    That host has received everything before `position` in this host's replay buffer, and nothing
    after `settled`. `late` are the positions in between of events that it has not received. Both
    are unknown until this host has received from the bus what that host had.
    """

    def __init__(self, position: int) -> None:
        self.position = position
        self.had: SeenMessages | None = None  # None until the snapshot is complete
        self.complete = asyncio.Event()
        self.completed_at = 0.0  # on the event loop's clock
        self.ahead: SeenMessages | None = None  # the part of `had` that this host lacked
        self.settled: int | None = None
        self.late: list[int] = []
        self._replay_buffer: ReplayBuffer | None = None
        self._disconnected: dict[Key, DisconnectedSession] = {}
        self._size = 0

    def __contains__(self, key: Key) -> bool:
        return key in self._disconnected

    @property
    def size(self) -> int:
        """Return its approximate size in bytes."""
        return self._size + 2 * (self._replay_buffer.size if self._replay_buffer else 0)

    def add(self, piece: Mapping[str, Any]) -> None:
        """Add a piece of the snapshot."""
        if self._replay_buffer is None:
            self._replay_buffer = ReplayBuffer(0, piece["tag"], piece["position"])
        for values in piece.get("entries", ()):
            entry = Entry.of(*values)
            self._replay_buffer.clear_unless_at(entry.position - 1)  # a piece may have been lost
            self._replay_buffer.append(entry)
        for client in piece.get("dropped", ()):
            disconnected = DisconnectedSession.of(*client)
            disconnected.size = disconnected.measure()
            self._size += disconnected.size
            self._disconnected[disconnected.namespace, disconnected.sid] = disconnected
        if "had" in piece:
            self._replay_buffer.clear_unless_at(piece["position"])
            self.had = SeenMessages.of(piece["had"])
            self.completed_at = asyncio.get_running_loop().time()
            self.complete.set()

    def take(
        self, key: Key, offset: str | None
    ) -> tuple[DisconnectedSession, ReplayPoint, list[Sent]] | None:
        """Remove a session; return it with its replay point and the events it missed there.

        Returns None if the session is not here or cannot be resumed.
        """
        if self.had is None or self._replay_buffer is None:
            return None
        if (disconnected := self.forget(key)) is None:
            return None
        if (replay_point := disconnected.replay_point.resumed(self._replay_buffer, offset)) is None:
            return None
        missed = disconnected.missed(self._replay_buffer, replay_point)
        return None if missed is None else (disconnected, replay_point, missed)

    def forget(self, key: Key) -> DisconnectedSession | None:
        """Remove and return a session, which a host has resumed."""
        disconnected = self._disconnected.pop(key, None)
        if disconnected is not None:
            self._size -= disconnected.size
        return disconnected


def pieces(
    replay_buffer: ReplayBuffer, disconnected: list[DisconnectedSession], had: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield the pieces for `ShutdownSnapshot.add`; raise TypeError if a session is not JSON."""
    start = min(one.replay_point.start for one in disconnected)
    about = {"tag": replay_buffer.tag, "position": replay_buffer.position}
    entries = (_fitting(entry) for entry in reversed(replay_buffer) if entry.position > start)
    for batch in _batches(_first(entries, _MOST)):
        yield about | {"entries": batch}
    clients = (one.to_json() for one in reversed(disconnected) if one.portable)
    for batch in _batches(_first(filter(_is_accepted, clients), _MOST)):
        yield about | {"dropped": batch}
    yield about | {"had": had}


def _fitting(entry: Entry) -> list[Any]:
    """Return an entry as JSON, without its event, or its recipients, if the bus refuses them.

    All clients then count as its recipients: none of them can resume a session from before it.
    """
    for fitting in (entry, entry._replace(message=None)):
        written = fitting.to_json()
        if is_entry(written) and _length(written) < _LARGEST:
            return written
    return entry._replace(message=None, room=None, skipped=()).to_json()


def _is_accepted(client: list[Any]) -> bool:
    return is_dropped(client) and _length(client) < _LARGEST


def _first(items: Iterable[list[Any]], most: int) -> list[list[Any]]:
    """Return the first items, up to `most` bytes, in reverse order."""
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
