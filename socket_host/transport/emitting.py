"""`emit` as both transports have it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import socketio  # type: ignore[import-untyped]  # python-socketio ships no types


class EmittingServer(socketio.AsyncServer):  # type: ignore[misc]  # as above
    """A server that takes any collection of recipients, and an empty one for nobody."""

    # Returns the coroutine instead of awaiting it, to save a frame per call.
    def emit(
        self,
        event: str,
        data: Any = None,
        to: Any = None,
        room: Any = None,
        skip_sid: Any = None,
        namespace: str | None = None,
        callback: Any = None,
        ignore_queue: bool = False,
    ) -> Coroutine[Any, Any, None]:
        """Send an event to a client, a room, several of them, or the whole namespace.

        Raises ValueError if the event cannot be sent.
        """
        recipients = _listed(room if to is None else to)
        emission: Coroutine[Any, Any, None] = super().emit(
            event, data, None, recipients, _listed(skip_sid), namespace, callback, ignore_queue
        )
        return emission


def _listed(names: Any) -> Any:
    """Return a list of names for any other collection of them."""
    return list(names) if isinstance(names, (tuple, set, frozenset)) else names
