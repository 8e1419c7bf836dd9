"""The room log: a room's messages in order, with sequence numbers without gaps.

All calls block: pages make them directly, and the socket host makes them off its event loop.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

PAGE = 50  # messages on a page
BATCH = 200  # messages returned by one call of `after`


class RoomLogError(Exception):
    """The log cannot be reached or written now; nothing was stored, and a retry is harmless."""


class Message(NamedTuple):  # faster to create than a dataclass
    """A stored message; `at` is in milliseconds since 1970, UTC."""

    room: str
    seq: int
    id: str
    author: str
    name: str
    text: str
    at: int

    def to_json(self) -> dict[str, Any]:
        """Return the payload of a `message` event."""
        return self._asdict()


@dataclass(frozen=True)
class Appended:
    """The message in the log, and whether it is new, rather than stored by an earlier try."""

    message: Message
    new: bool


class RoomState(NamedTuple):
    """A room's state: its last messages, at most PAGE, oldest first, and its current text."""

    messages: list[Message]
    text: str


class RoomLog(Protocol):
    """A room log, wherever it stores messages. Every call may raise RoomLogError."""

    def append(self, room: str, *, id: str, author: str, name: str, text: str) -> Appended:  # noqa: A002 - the wire's word
        """Store a message as the room's next, or return the one already stored under `id`."""
        ...

    def latest(self, room: str, limit: int = PAGE) -> list[Message]:
        """Return the room's last messages, oldest first."""
        ...

    def state(self, room: str, after: int = 0) -> RoomState:
        """Return a room's state, without the messages up to the number `after`."""
        ...

    def after(self, room: str, seq: int, limit: int = BATCH) -> list[Message]:
        """Return the first messages that came after `seq`, oldest first."""
        ...

    def keep_text(self, room: str, text: str) -> None:
        """Store the room's current text: a draft, not yet a message."""
        ...

    def text(self, room: str) -> str:
        """Return the room's current text, or an empty string."""
        ...

    def close(self) -> None:
        """Close files and connections."""
        ...
