"""The journal: events sent lately, so that a client that comes back can have what it missed.

Every event carries its offset as one more argument, a text, which is what socket.io-client sends
back when it connects again. An offset is `tag.position`: which journal, and where in it.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple, Self

from socket_host.transport.message import Message

MAX_ENTRIES = 20_000
MAX_BYTES = 16 * 1024 * 1024  # of all events as frames


class Sent(NamedTuple):
    """An event as a client gets it; its last argument is its offset."""

    message: Message
    offset: str

    def renamed(self, offset: str) -> Sent:
        """Return the same event with another offset."""
        text, *attachments = self.message.packets
        assert isinstance(text, str)
        text = f'{text[: -len(self.offset) - 3]}"{offset}"]'
        return Sent(Message.of(text, *attachments), offset)

    def to_json(self) -> list[str]:
        """Return it in the form in which it goes to other hosts."""
        text, *attachments = self.message.packets
        assert isinstance(text, str)
        encoded = [base64.b64encode(a).decode() for a in attachments if isinstance(a, bytes)]
        return [self.offset, text, *encoded]

    @classmethod
    def of(cls, offset: str, text: str, *attachments: str) -> Self:
        """Return what `to_json` was of."""
        return cls(Message.of(text, *map(base64.b64decode, attachments)), offset)


class Entry(NamedTuple):
    """An event and whom it was for: `room` and `skipped` as in python-socketio's `emit`."""

    position: int
    message: Message
    namespace: str
    room: Any
    skipped: Collection[str]
    message_id: str | None  # on the bus
    at: float  # seconds, on the event loop's clock

    def concerns(self, namespace: str, sid: str, rooms: Mapping[Any, int]) -> bool:
        """Tell if it was for this client, whose rooms come with the position it entered them at."""
        if namespace != self.namespace or sid in self.skipped:
            return False
        if self.room is None:
            return True
        names = self.room if isinstance(self.room, (list, tuple, set, frozenset)) else (self.room,)
        return any(name == sid or rooms.get(name, self.position) < self.position for name in names)

    def to_json(self) -> list[Any]:
        """Return it in the form in which it goes to other hosts."""
        room = list(self.room) if isinstance(self.room, (set, frozenset)) else self.room
        message = Sent(self.message, "").to_json()
        return [self.position, message, self.namespace, room, list(self.skipped)]

    @classmethod
    def of(
        cls, position: int, message: list[str], namespace: str, room: Any, skipped: list[str]
    ) -> Self:
        """Return what `to_json` was of."""
        return cls(position, Sent.of(*message).message, namespace, room, skipped, None, 0.0)


class Journal:
    """The events of the last `seconds`, or fewer if they would take too much memory."""

    def __init__(self, seconds: float, tag: str = "", position: int = 0) -> None:
        self.tag = tag or secrets.token_urlsafe(6)
        self.position = position  # of the newest entry
        self._prefix = self.tag + "."
        self._seconds = seconds
        self._entries: deque[Entry] = deque()
        self._size = 0

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def offset(self, position: int, number: int | None = None) -> str:
        """Return the offset of an entry, or of an event sent again after it."""
        return f"{self._prefix}{position}" + ("" if number is None else f".{number}")

    def next_offset(self) -> str:
        """Return the offset that the next entry will have."""
        return self._prefix + str(self.position + 1)

    def sent(self, entry: Entry) -> Sent:
        """Return an entry's event, with its offset."""
        return Sent(entry.message, self.offset(entry.position))

    def add(
        self,
        message: Message,
        namespace: str,
        room: Any,
        skipped: Collection[str],
        message_id: str | None,
    ) -> None:
        """Note an event that has its `next_offset`, and forget what is too old or too much."""
        now = asyncio.get_running_loop().time()
        self.position += 1
        self.append(Entry(self.position, message, namespace, room, skipped, message_id, now))
        entries, oldest = self._entries, now - self._seconds
        while entries[0].at < oldest or self._size > MAX_BYTES or len(entries) > MAX_ENTRIES:
            self._size -= len(entries.popleft().message.frames)

    def append(self, entry: Entry) -> None:
        """Put an entry last, as it is."""
        self._entries.append(entry)
        self._size += len(entry.message.frames)

    def since(self, position: int) -> list[Entry] | None:
        """Return what came after a position, oldest first; None if some of it is forgotten."""
        count = self.position - position
        if not 0 <= count <= len(self._entries):
            return None
        return list(islice(reversed(self._entries), count))[::-1]

    def position_at(self, moment: float) -> int:
        """Return the position of the last entry made before a moment."""
        position = self.position
        for entry in reversed(self._entries):
            if entry.at < moment:
                break
            position = entry.position - 1
        return position
