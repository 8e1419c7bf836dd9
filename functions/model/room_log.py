"""The room log: a room's messages in order, each with a sequence number without holes.

Plain synchronous calls: a page makes them as they are, the socket host makes them off its loop.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

PAGE = 50  # messages a page shows
BATCH = 200  # messages one `after` returns: with MAX_TEXT well below the host's packet limit


class RoomLogError(Exception):
    """The log cannot be reached or written now; nothing was stored, and a retry is harmless."""


class Message(NamedTuple):  # of which a page makes fifty: a dataclass takes four times as long
    """One stored message; `at` is in milliseconds since 1970, UTC."""

    room: str
    seq: int
    id: str
    author: str
    name: str
    text: str
    at: int

    def to_json(self) -> dict[str, Any]:
        """Return what goes over the wire in a `message` event."""
        return self._asdict()


@dataclass(frozen=True)
class Appended:
    """The message now in the log, and whether this call put it there (not an earlier try)."""

    message: Message
    new: bool


class RoomState(NamedTuple):
    """How a room stands: its last messages, at most PAGE, oldest first, and its current text."""

    messages: list[Message]
    text: str


class RoomLog(Protocol):
    """What a room log does, wherever it keeps its messages. Every call may raise RoomLogError."""

    def append(self, room: str, *, id: str, author: str, name: str, text: str) -> Appended:  # noqa: A002 - the wire's word
        """Store a message as the room's next, or return the one already stored under `id`."""
        ...

    def latest(self, room: str, limit: int = PAGE) -> list[Message]:
        """Return the room's last messages, oldest first."""
        ...

    def state(self, room: str, after: int = 0) -> RoomState:
        """Return how a room stands, but no message up to the number `after`: for who knows them."""
        ...

    def after(self, room: str, seq: int, limit: int = BATCH) -> list[Message]:
        """Return the first messages that came after `seq`, oldest first."""
        ...

    def keep_text(self, room: str, text: str) -> None:
        """Remember the room's current text: what was last typed, not yet a message."""
        ...

    def text(self, room: str) -> str:
        """Return the room's current text, empty if none was kept."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
