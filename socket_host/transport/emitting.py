"""The `emit` of both transports."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import socketio  # type: ignore[import-untyped]  # python-socketio ships no types

_COLLECTIONS = frozenset([tuple, set, frozenset])  # of names; python-socketio only takes lists


class EmittingServer(socketio.AsyncServer):  # type: ignore[misc]  # as above
    """A server that takes any collection of recipients; an empty one means nobody."""

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
        if to is not None:
            room = to
        if type(room) in _COLLECTIONS:
            room = list(room)
        if type(skip_sid) in _COLLECTIONS:
            skip_sid = list(skip_sid)
        emission: Coroutine[Any, Any, None] = super().emit(
            event, data, None, room, skip_sid, namespace, callback, ignore_queue
        )
        return emission
