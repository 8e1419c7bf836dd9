"""The replay buffer: recent events, from which a client that reconnects gets those it missed.

Every event has its offset as an additional last argument, a string, which socket.io-client sends
back when it reconnects. An offset is `tag.position`: the replay buffer, and the position in it.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple, Self

from socket_host.bus.fields import is_room
from socket_host.transport.native.message import Message

MAX_ENTRIES = 20_000
MAX_BYTES = 16 * 1024 * 1024  # of all events as frames
LARGEST = MAX_BYTES // 4  # of one event; a larger one is not kept, since it would evict many others

_REMOVED_AT_ONCE = 1_000  # entries

_LISTS = (list, tuple, set, frozenset)  # types that stand for several rooms


class Sent(NamedTuple):
    """An event from another host; its last argument is its offset there."""

    packets: tuple[str | bytes, ...]
    offset: str

    def renamed(self, offset: str) -> Message:
        """Return the event with another offset."""
        text, *attachments = self.packets
        assert isinstance(text, str)
        return Message.of(f'{text[: -len(self.offset) - 3]}"{offset}"]', *attachments)

    @property
    def size(self) -> int:
        """Return its approximate size in bytes."""
        return sum(map(len, self.packets))

    def to_json(self) -> list[str]:
        """Return it in the form that is sent to other hosts."""
        text, *attachments = self.packets
        assert isinstance(text, str)
        encoded = [base64.b64encode(a).decode() for a in attachments if isinstance(a, bytes)]
        return [self.offset, text, *encoded]

    @classmethod
    def of(cls, offset: str, text: str, *attachments: str) -> Self:
        """Do the reverse of `to_json`."""
        return cls((text, *map(base64.b64decode, attachments)), offset)


class Entry(NamedTuple):
    """An event and its recipients; `room` and `skipped` are as in python-socketio's `emit`."""

    position: int
    message: Message | None  # None if it was too large to be kept
    namespace: str
    room: Any
    skipped: Collection[str]
    message_id: str | None  # on the bus
    at: float  # seconds, on the event loop's clock

    def concerns(self, namespace: str, sid: str, rooms: Mapping[Any, int]) -> bool:
        """Return whether it was for this client; `rooms` has the positions of entry."""
        if namespace != self.namespace or sid in self.skipped:
            return False
        if self.room is None:
            return True
        names = self.room if isinstance(self.room, _LISTS) else (self.room,)
        try:
            return any(
                name == sid or rooms.get(name, self.position) < self.position for name in names
            )
        except TypeError:  # not hashable, so not a room's name
            return False

    @property
    def size(self) -> int:
        """Return its approximate size in bytes, including names of rooms and sids."""
        size = 0 if self.message is None else len(self.message.frames)
        if self.skipped:
            size += sum(map(len, self.skipped))
        if isinstance(self.room, tuple):
            size += sum(len(str(name)) for name in self.room)
        return size

    def to_json(self) -> list[Any]:
        """Return it in the form that is sent to other hosts."""
        message = Sent(self.message.packets if self.message else ("",), "").to_json()
        room = self.room
        if isinstance(room, _LISTS):
            room = [name for name in room if is_portable(name)]
        elif not is_portable(room):
            room = []  # for no client of another host
        return [self.position, message, self.namespace, room, list(self.skipped)]

    @classmethod
    def of(
        cls, position: int, message: list[str], namespace: str, room: Any, skipped: list[str]
    ) -> Self:
        """Do the reverse of `to_json`."""
        packets = Sent.of(*message).packets
        kept = Message.of(*packets) if packets[0] else None
        return cls(position, kept, namespace, room, skipped, None, 0.0)


_NOTHING = Entry(0, None, "", None, (), None, 0.0)  # in place of an entry that was evicted


def is_portable(room: Any) -> bool:
    """Return whether a room's name can be sent to another host, or stands for all rooms."""
    return room is None or is_room(room)


class ReplayBuffer:
    """The events of the last `seconds`, within MAX_ENTRIES and MAX_BYTES."""

    def __init__(self, seconds: float, tag: str = "", position: int = 0) -> None:
        self.tag = tag or secrets.token_urlsafe(6)
        self.position = position  # of the newest entry
        self.size = 0  # bytes
        self._prefix = self.tag + "."
        self._seconds = seconds
        # A list, because a deque is slow in its middle. The entries that have been evicted are
        # removed from its start a thousand at a time.
        self._entries: list[Entry] = []
        self._evicted = 0

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries[self._evicted :])

    def __reversed__(self) -> Iterator[Entry]:
        for index in range(len(self._entries) - 1, self._evicted - 1, -1):
            yield self._entries[index]

    @property
    def _count(self) -> int:
        return len(self._entries) - self._evicted

    def offset(self, position: int, left: int | None = None) -> str:
        """Return the offset of an entry, or of an event that is replayed between entries.

        The latter follows the entry at `position`, and `left` more such events follow it.
        """
        return f"{self._prefix}{position}" + ("" if left is None else f".{left}")

    def numbers(self, offset: str) -> list[int]:
        """Return the numbers in an offset; empty if it is invalid or of another replay buffer."""
        theirs, *numbers = offset.split(".", 3)
        if theirs != self.tag or len(numbers) not in (1, 2):
            return []
        found = [int(n) for n in numbers if n.isdecimal() and n.isascii() and len(n) < 19]
        return found if len(found) == len(numbers) else []

    def next_offset(self) -> str:
        """Return the offset that the next entry will have."""
        return self._prefix + str(self.position + 1)

    def add(
        self,
        message: Message,
        namespace: str,
        room: Any,
        skipped: Collection[str],
        message_id: str | None,
    ) -> None:
        """Add an event that has the `next_offset`, and evict entries beyond the limits."""
        now = asyncio.get_running_loop().time()
        kept = message if len(message.frames) <= LARGEST else None
        # Copied, because the caller may change its lists later.
        if isinstance(room, (list, set)):
            room = tuple(room)
        skipped = tuple(skipped) if skipped else ()
        self.position += 1
        self.append(Entry(self.position, kept, namespace, room, skipped, message_id, now))
        entries, oldest = self._entries, now - self._seconds
        while self._evicted < len(entries) and (
            entries[self._evicted].at < oldest
            or self.size > MAX_BYTES
            or len(entries) - self._evicted > MAX_ENTRIES
        ):
            self._evict()

    def _evict(self) -> None:
        self.size -= self._entries[self._evicted].size
        self._entries[self._evicted] = _NOTHING
        self._evicted += 1
        if self._evicted == _REMOVED_AT_ONCE:
            del self._entries[:_REMOVED_AT_ONCE]
            self._evicted = 0

    def append(self, entry: Entry) -> None:
        """Append an entry as it is."""
        self._entries.append(entry)
        self.size += entry.size

    def clear_unless_at(self, position: int) -> None:
        """Drop all entries unless the newest is the one at `position`."""
        if self._entries and self._entries[-1].position != position:
            self._entries.clear()
            self._evicted = self.size = 0

    def reaches(self, position: int) -> bool:
        """Return whether all entries after a position are still here."""
        return 0 <= self.position - position <= self._count

    def entry(self, position: int) -> Entry | None:
        """Return the entry at a position; None if it is not here."""
        index = position - self.position - 1
        return self._entries[index] if -self._count <= index < 0 else None

    def skip(
        self, position: int, namespace: str, sid: str, rooms: Mapping[Any, int], most: int
    ) -> int:
        """Return the position after the next entries, up to `most`, that do not concern a client.

        The entry behind them may concern it. A fast path for entries that are for one room.
        """
        if not self.reaches(position):
            return position
        index = len(self._entries) + position - self.position
        for _, _, where, room, *_ in self._entries[index : index + most]:
            if where == namespace and (type(room) is not str or room in rooms or room == sid):
                break
            position += 1
        return position

    def since(self, position: int) -> list[Entry] | None:
        """Return the entries after a position, oldest first; None if some are no longer here."""
        if not self.reaches(position):
            return None
        return self._entries[len(self._entries) + position - self.position :]

    def position_at(self, moment: float) -> int:
        """Return the position of the last entry that was added before a loop time."""
        position = self.position
        for entry in reversed(self):
            if entry.at < moment:
                break
            position = entry.position - 1
        return position
