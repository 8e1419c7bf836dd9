"""A client manager on a bus: an event emitted on one host reaches the clients of all hosts."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from socketio.async_pubsub_manager import (  # type: ignore[import-untyped]  # as above
    AsyncPubSubManager,
)
from socketio.packet import Packet  # type: ignore[import-untyped]  # as above

from functions.contract.bus import RESERVED_EVENTS
from socket_host.bus import Bus
from socket_host.bus.schema import is_binary
from socket_host.transport.limits import MOST_ATTACHMENTS


def check_event(event: object) -> None:
    """Raise ValueError for an event name on which clients would close the connection."""
    if type(event) is not str and not isinstance(event, str):
        raise ValueError(f"The name of an event must be a string, not {event!r:.100}.")
    if event in RESERVED_EVENTS:
        raise ValueError(f"The event {event!r} is reserved by Socket.IO and cannot be emitted.")


class BusManager(AsyncPubSubManager):  # type: ignore[misc]  # python-socketio ships no types
    """python-socketio's manager for several hosts, on a bus that it is given.

    List it as a base class before the manager that keeps the rooms and writes to the clients, and
    set `emit_here` to that manager's `emit`. Local clients get an event at once. An event that
    cannot go over the bus raises BusMessageError before any client gets it.
    """

    emit_here: Callable[..., Coroutine[Any, Any, None]]

    def __init__(self, bus: Bus | None = None) -> None:
        super().__init__()
        self.bus = bus or Bus()
        self.host_id = self.bus.host_id
        self._methods: dict[Any, Callable[[Any], Awaitable[None]]] = {
            "emit": self._handle_emit,
            "callback": self._handle_callback,
            "disconnect": self._handle_disconnect,
            "enter_room": self._handle_enter_room,
            "leave_room": self._handle_leave_room,
            "close_room": self._handle_close_room,
        }
        self.bus.bring_to(self)

    def initialize(self) -> None:
        """Do nothing: the host starts the bus before the first client connects."""

    # Returns the coroutine instead of awaiting it, to save a frame per event.
    def emit(
        self,
        event: str,
        data: Any,
        namespace: str | None = None,
        room: Any = None,
        skip_sid: Any = None,
        callback: Any = None,
        to: Any = None,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, None]:
        """Send an event to the clients of all hosts."""
        emit = self.emit_here
        if self.bus.is_shared:
            check_event(event)
            emit = super().emit
        return emit(event, data, namespace or "/", room, skip_sid, callback, to, **kwargs)

    async def enter_room(
        self, sid: str, namespace: str, room: Any, eio_sid: str | None = None
    ) -> None:
        """Put a client of any host into a room.

        Raises ValueError, where there is only this host, if the client is not connected.
        """
        if self.bus.is_shared:
            await super().enter_room(sid, namespace, room, eio_sid=eio_sid)
        else:
            self.basic_enter_room(sid, namespace, room, eio_sid=eio_sid)

    async def leave_room(self, sid: str, namespace: str, room: Any) -> None:
        """Take a client of any host out of a room."""
        if self.bus.is_shared:
            await super().leave_room(sid, namespace, room)
        else:
            self.basic_leave_room(sid, namespace, room)

    async def apply(self, message: Mapping[str, Any]) -> None:
        """Apply a message from the manager of another host."""
        method = self._methods.get(message["method"])  # None for a method of a later version
        if method is not None:
            await method(message)

    async def _publish(self, data: Mapping[str, Any]) -> None:
        if data["method"] != "emit":  # `_handle_emit` has published those
            self.bus.publish(data)

    async def _handle_emit(self, message: Mapping[str, Any]) -> None:
        # Publish before the local delivery, which may pause: otherwise a later emit of another task
        # could reach the other hosts first.
        own = message.get("host_id") == self.host_id
        if own and message.get("binary"):
            _check_binary(message)
        message_id = self.bus.publish(message) if own else message.get("message_id")
        callback = message.get("callback")
        if callback is not None:
            callback = partial(self._return_callback, message.get("host_id"), *callback)
        await self.emit_here(
            message["event"],
            _data(message),
            message.get("namespace"),
            message.get("room"),
            message.get("skip_sid"),
            callback,
            message_id=message_id,
        )


def _check_binary(message: Mapping[str, Any]) -> None:
    """Raise ValueError for attachments that no client accepts."""
    attachments = message["data"][1:]
    if len(attachments) > MOST_ATTACHMENTS:
        why = f"clients accept at most {MOST_ATTACHMENTS} attachments"
    elif not is_binary(message["data"]):
        why = "data with bytes in it cannot have a dictionary with the key '_placeholder'"
    else:
        return
    raise ValueError(f"The data of {message['event']!r:.100} cannot be sent as JSON: {why}.")


def _data(message: Mapping[str, Any]) -> Any:
    """Return a message's data in the form that `emit` takes."""
    data = message["data"]
    if message.get("binary"):
        attachments = [base64.b64decode(text) for text in data[1:]]
        data = Packet.reconstruct_binary(data[0], attachments)
    if not isinstance(data, list):
        return data
    return data[0] if len(data) == 1 else tuple(data)
