"""Say something to connected sockets, from a page or a route.

`emitter.emit("news", {"text": "…"}, room="plaza")` reaches the clients of every socket host.
"""

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from functions.contract.bus import (
    APP,
    FUNCTION,
    SESSION_END,
    encode_announcement,
    encode_emit,
)


class EmitError(Exception):
    """Maybe nobody heard it; the text says why."""


class Emitter:
    """Speaks to every socket host, in the order of the calls. This one cannot.

    Each call returns the id under which the hosts log that they heard it, and raises EmitError,
    within seconds, if they cannot be reached, and BusMessageError for what cannot be sent.
    """

    def emit(
        self, event: str, data: Any = None, *, room: str | None = None, namespace: str = "/"
    ) -> str:
        """Emit an event to the clients in a room, or to all without one.

        A tuple is several arguments.
        """
        encoded = partial(encode_emit, event, data, room=room, namespace=namespace)
        return self._send(encoded, f"{event!r} was not emitted")

    def disconnect(self, visitor: str, *, signed_in_at: float | None = None) -> str:
        """Send away all clients of the visitor with that id, in all namespaces of all hosts.

        They do not come back by themselves; whether they may come back is for the session that they
        bring, and for `admit`, to say. With `signed_in_at`, which is in a session, only those who
        came with the session of that one sign-in.
        """
        body: dict[str, Any] = {"visitor": visitor}
        if signed_in_at is not None:
            body["signed_in_at"] = signed_in_at
        encoded = partial(encode_announcement, SESSION_END, body)
        return self._send(encoded, f"The sockets of {visitor!r} stay open")

    def announce(self, subject: str, body: Any = None) -> str:
        """Tell every host something: the methods with `@subscribe(subject)` of its namespaces."""
        encoded = partial(encode_announcement, APP + subject, body)
        return self._send(encoded, f"{subject!r} was not announced")

    def close(self) -> None:
        """Let go of what is kept for the next message."""

    def _send(self, encoded: Callable[..., str], failed: str) -> str:
        sender = FUNCTION + uuid.uuid4().hex
        message = encoded(sender=sender)
        try:
            self._publish(message, sender)
        except EmitError as error:
            raise EmitError(f"{failed}: {error}.") from error
        return f"{sender}:1"

    def _publish(self, message: str, sender: str) -> None:
        raise EmitError("BUS is not set")
