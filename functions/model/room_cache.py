"""A cache of rooms: the messages that a function has already read."""

import time
from collections.abc import Sequence
from sys import getsizeof

from functions.contract.cache import Cache
from functions.model.room_log import PAGE, Message, RoomLog, RoomState

_REMEMBERED = 20 * 1024 * 1024  # bytes of messages; a page of the longest has 100 to 400 KB
_MESSAGE = 700  # bytes of a message besides its text
_SECONDS = 60.0  # until a whole room is read again, so that messages deleted by hand disappear


class RoomCache:
    """Reads a room's state, fetching only its new messages.

    Messages never change, and their numbers have no gaps. Reading them again would be a large part
    of what a page costs with DynamoDB.
    """

    def __init__(self, log: RoomLog) -> None:
        self._log = log
        self._rooms: Cache[str, tuple[float, list[Message]]] = Cache(_REMEMBERED)

    def state(self, room: str) -> RoomState:
        """Return a room's state; raise RoomLogError if the log cannot be read."""
        read_at, known = self._rooms.get(room) or (0.0, [])
        if time.monotonic() - read_at > _SECONDS:
            read_at, known = time.monotonic(), []
        new, text = self._log.state(room, known[-1].seq if known else 0)
        messages = [*known, *new][-PAGE:]
        if new or not known:
            self._rooms.put(room, (read_at, messages), _MESSAGE + size(messages))
        return RoomState(messages, text)


def size(messages: Sequence[Message]) -> int:
    """Return roughly how many bytes of memory messages take."""
    return sum(_MESSAGE + getsizeof(message.text) for message in messages)
