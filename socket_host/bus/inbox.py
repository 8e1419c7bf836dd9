"""The inbox: checks messages from the bus, and passes each on once."""

from typing import Any

from socket_host.bus.refusals import Refusals
from socket_host.bus.schema import fault, parse
from socket_host.bus.seen_messages import SeenMessages, UnlikelyNumberError


class Inbox:
    """Passes on valid, new messages, and counts the others."""

    def __init__(self, seen: SeenMessages, refusals: Refusals, own: bytes, largest: int) -> None:
        """Skip this host's own messages, which begin with `own`; refuse those over `largest`."""
        self._largest = largest
        self.duplicates = 0
        self._seen = seen
        self._refusals = refusals
        self._own = own

    def read(self, body: bytes) -> dict[str, Any] | None:
        """Return the message if it is valid, from another host, and not a duplicate."""
        if body.startswith(self._own):
            return None
        if len(body) > self._largest:
            self._refusals.note("a message is too large")
            return None
        try:
            message = parse(str(body, "utf-8"))
        except ValueError:
            self._refusals.note("not JSON")
            return None
        if why := fault(message):
            self._refusals.note(why)
            return None
        return message if self.is_new(message.get("message_id")) else None

    def is_new(self, message_id: str | None) -> bool:
        """Return whether a message is new, and remember it."""
        try:
            if self._seen.is_new(message_id):
                return True
        except UnlikelyNumberError as error:
            self._refusals.note(str(error))
            return False
        except ValueError:
            self._refusals.note("message_id")
            return False
        self.duplicates += 1
        return False
