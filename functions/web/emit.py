"""Emit events to connected sockets, from a page or a route.

`emitter.emit("news", {"text": "…"}, room="plaza")` reaches the clients of every socket host.
"""

import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from functions.contract.bus import (
    APP,
    FUNCTION,
    SESSION_END,
    BusMessageError,
    encode_announcement,
    encode_emit,
)

SLOW = 1.0  # seconds; a message that fails after a longer time has failed by a timeout


class EmitError(Exception):
    """The message may not have arrived; the error's text says why."""


class Emitter:
    """Sends messages to every socket host, in the order of the calls.

    This base class has no bus, and always raises EmitError.

    Each call returns the id under which hosts log the message. It raises EmitError, within seconds,
    if they cannot be reached, and BusMessageError if the message cannot be sent. After a timeout,
    calls raise EmitError at once for as long as the timeout took, so that a page with several
    messages does not exceed the function's own timeout.
    """

    _retry_at = 0.0  # by time.monotonic()

    def emit(
        self, event: str, data: Any = None, *, room: str | None = None, namespace: str = "/"
    ) -> str:
        """Emit an event to the clients in a room, or to all clients if there is no room.

        A tuple stands for several arguments.
        """
        _check("event", event)
        _check("namespace", namespace, begin="/")
        if room is not None:
            _check("room", room)
        encoded = partial(encode_emit, event, data, room=room, namespace=namespace)
        return self._send(encoded, f"{event!r} was not emitted")

    def disconnect(self, visitor: str, *, signed_in_at: float | None = None) -> str:
        """Disconnect all clients of the visitor with that id, in all namespaces, on all hosts.

        They do not reconnect by themselves; if the page reconnects them, `admit` decides, as for
        any client. `signed_in_at`, from a session, restricts this to the sockets of that sign-in.
        """
        _check("visitor's id", visitor)
        body: dict[str, Any] = {"visitor": visitor}
        if signed_in_at is not None:
            body["signed_in_at"] = signed_in_at
        encoded = partial(encode_announcement, SESSION_END, body)
        return self._send(encoded, f"The sockets of {visitor!r} were not closed")

    def announce(self, subject: str, body: Any = None) -> str:
        """Send an announcement to the `@subscribe(subject)` methods of every host's namespaces."""
        _check("subject", subject)
        encoded = partial(encode_announcement, APP + subject, body)
        return self._send(encoded, f"{subject!r} was not announced")

    def close(self) -> None:
        """Close connections kept open for the next message."""

    def _send(self, encoded: Callable[..., str], failed: str) -> str:
        sender = FUNCTION + uuid.uuid4().hex
        message = encoded(sender=sender)
        begun = time.monotonic()
        if begun < self._retry_at:
            raise EmitError(f"{failed}: the bus did not answer a moment ago.")
        try:
            self._publish(message, sender)
        except EmitError as error:
            now = time.monotonic()
            if now - begun > SLOW:
                self._retry_at = now + (now - begun)
            raise EmitError(f"{failed}: {error}.") from error
        return f"{sender}:1"

    def _publish(self, message: str, sender: str) -> None:
        raise EmitError("BUS is not set")


def _check(what: str, name: object, begin: str = "") -> None:
    if not isinstance(name, str) or not name or not name.startswith(begin):
        must = f"a string that begins with {begin}" if begin else "a string"
        raise BusMessageError(f"The {what} must be {must}, not {name!r}.")
