"""A client manager on a bus: events emitted on one host reach the clients of all hosts."""

from __future__ import annotations

import base64
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

from socketio.async_pubsub_manager import (  # type: ignore[import-untyped]  # as above
    AsyncPubSubManager,
)
from socketio.packet import Packet  # type: ignore[import-untyped]  # as above

from functions.contract.bus import RESERVED_EVENTS
from socket_host.bus import Bus
from socket_host.bus.fields import (
    MAX_NAME,
    MAX_NAMES,
    is_name,
    is_one_or_list,
    is_room,
)
from socket_host.transport.hooks import FAILURES, Hooks
from socket_host.transport.strict_json import detach, has_bytes, not_json

_log = logging.getLogger(__name__)

_MOST_UNANSWERED = 10_000  # callbacks that wait for clients of other hosts
_MOST_OF_ONE = 1_000  # callbacks that wait for one client of this host

_COLLECTIONS = (list, tuple, set, frozenset)

_SEVERAL = ""  # stands for the sid in a callback for several rooms, or for all clients

_ROOM_NAMES = f"a room's name is a whole number or a string of at most {MAX_NAME:,} characters"


def check_event(event: object) -> None:
    """Raise ValueError for an event name on which clients would close the connection."""
    if type(event) is not str and not isinstance(event, str):
        raise ValueError(f"The name of an event must be a string, not {event!r:.100}.")
    if event in RESERVED_EVENTS:
        raise ValueError(f"The event {event!r} is reserved by Socket.IO and cannot be emitted.")


def _check_recipients(event: object, room: Any, skip_sid: Any) -> None:
    """Raise ValueError for rooms and sids that other hosts would refuse."""
    fine = room is None or is_one_or_list(room, is_room)
    if not fine or not (skip_sid is None or is_one_or_list(skip_sid, is_name)):
        raise ValueError(
            f"{event!r:.100} cannot be sent to other hosts: {_ROOM_NAMES}, and all names together "
            f"have at most {MAX_NAMES:,} characters. Emit to a room instead of many sids."
        )


class BusManager(AsyncPubSubManager):  # type: ignore[misc]  # python-socketio ships no types
    """python-socketio's manager for several hosts, on a given bus.

    List it as a base class before the manager that keeps the rooms and writes to the clients, and
    set `emit_here` to that manager's `emit`. Local clients get an event at once. An event that
    cannot go over the bus raises BusMessageError before any client gets it.
    """

    emit_here: Callable[..., Coroutine[Any, Any, None]]

    def __init__(self, bus: Bus | None = None) -> None:
        super().__init__()
        self.bus = bus or Bus()
        self.host_id = self.bus.host_id
        self._unanswered: deque[tuple[Any, int]] = deque()  # the oldest first
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
        """Send an event to the clients of all hosts.

        `callback` is called once for each client that answers.
        """
        emit = self.emit_here
        if type(room) is list and None in room:
            raise ValueError(f"One of the recipients of {event!r:.100} is None, which means all.")
        if self.bus.is_shared:
            check_event(event)
            emit = self._emit_to_all
        return emit(event, data, namespace or "/", room, skip_sid, callback, to, **kwargs)

    async def _emit_to_all(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any,
        skip_sid: Any,
        callback: Any,
        to: Any,
        ignore_queue: bool = False,
    ) -> None:
        room = to or room
        if ignore_queue:
            await self.emit_here(event, data, namespace, room, skip_sid, callback)
            return
        _check_recipients(event, room, skip_sid)
        try:
            packed = _packed("data", list(data) if isinstance(data, tuple) else [data])
        except (ValueError, RecursionError) as error:
            raise not_json(event, error) from None
        if callback is not None:
            callback = self._ask(room, namespace, callback)
        await self._handle_emit(
            {
                "method": "emit",
                "event": event,
                **packed,
                "namespace": namespace,
                "room": room,
                "skip_sid": skip_sid,
                "callback": callback,
                "host_id": self.host_id,
            }
        )

    def _ask(self, room: Any, namespace: str, callback: Any) -> tuple[Any, str, int]:
        """Keep a callback; return what clients' answers to it are recognised by."""
        sid = _SEVERAL if room is None or isinstance(room, list) else room
        return sid, namespace, self._generate_ack_id(sid, callback)

    async def enter_room(
        self, sid: str, namespace: str, room: Any, eio_sid: str | None = None
    ) -> None:
        """Put a client of any host into a room.

        Raises ValueError if the room has no possible name and, where there is only this host, if
        the client is not connected.
        """
        self._check_room(room)
        if self.bus.is_shared:
            await super().enter_room(sid, namespace, room, eio_sid=eio_sid)
        else:
            self.basic_enter_room(sid, namespace, room, eio_sid=eio_sid)

    async def leave_room(self, sid: str, namespace: str, room: Any) -> None:
        """Take a client of any host out of a room; raises ValueError as `enter_room` does."""
        self._check_room(room)
        if self.bus.is_shared:
            await super().leave_room(sid, namespace, room)
        else:
            self.basic_leave_room(sid, namespace, room)

    async def close_room(self, room: Any, namespace: str) -> None:
        """Take all clients, of all hosts, out of a room; raises ValueError as `enter_room` does."""
        self._check_room(room)
        await super().close_room(room, namespace)

    def _check_room(self, room: object) -> None:
        """Raise ValueError for a room that no client could be in, or that other hosts refuse."""
        if room is None:
            raise ValueError("A room needs a name, which cannot be None.")
        if isinstance(room, _COLLECTIONS):
            raise ValueError(
                f"{room!r:.100} stands for several rooms. Enter or leave each of them."
            )
        if self.bus.is_shared and not is_room(room):
            raise ValueError(f"{room!r:.100} is no room for several hosts: {_ROOM_NAMES}.")

    async def apply(self, message: Mapping[str, Any]) -> None:
        """Apply a message from the manager of another host."""
        method = self._methods.get(message["method"])  # None for a method of a later version
        if method is not None:
            await method(message)

    def _generate_ack_id(self, sid: Any, callback: Any) -> int:
        number: int = super()._generate_ack_id(sid, callback)
        if self._is_here(sid):
            waiting = self.callbacks[sid]
            if len(waiting) > 1 + _MOST_OF_ONE:  # with the counter, which comes first
                del waiting[next(islice(waiting, 1, None))]
        elif self.bus.is_shared:
            # Other hosts do not report clients that leave without answering.
            self._unanswered.append((sid, number))
            if len(self._unanswered) > _MOST_UNANSWERED:
                self._forget(*self._unanswered.popleft())
        return number

    def _is_here(self, sid: Any) -> bool:
        return any(self.is_connected(sid, namespace) for namespace in self.get_namespaces())

    def _forget(self, sid: Any, number: int) -> None:
        """Forget a callback if it is still waiting for an answer."""
        callbacks = self.callbacks.get(sid, {})
        callbacks.pop(number, None)
        if len(callbacks) == 1 and not self._is_here(sid):  # only the counter is left
            del self.callbacks[sid]

    async def _handle_enter_room(self, message: Mapping[str, Any]) -> None:
        sid, namespace, room = message["sid"], message["namespace"], message["room"]
        if not self.is_connected(sid, namespace) and not self.is_pre_connected(sid, namespace):
            return
        handler = self.server.namespace_handlers.get(namespace)
        try:
            allowed = not isinstance(handler, Hooks) or handler.may_join(sid, room)
        except FAILURES:
            _log.exception("may_join failed.")
            return
        if allowed:
            self.basic_enter_room(sid, namespace, room)
        else:
            _log.warning("A client was not put into the room %.100r, which it may not join.", room)

    async def _return_callback(
        self,
        host_id: str | None,
        sid: str,
        namespace: str,
        callback_id: int,
        is_only: bool,
        *values: Any,
    ) -> None:
        """Send a client's answer to the host that asked; `is_only` says that no other will."""
        if host_id == self.host_id:
            await self._answered(sid, callback_id, is_only, values)
            return
        about = {"host_id": host_id, "sid": sid, "namespace": namespace, "id": callback_id}
        about["only"] = is_only
        try:
            self.bus.publish({"method": "callback", **about, **_packed("args", list(values))})
        except (ValueError, RecursionError) as error:
            _log.error("A client's answer was not sent to the host that asked for it. %s", error)

    async def _handle_callback(self, message: Mapping[str, Any]) -> None:
        if message.get("host_id") != self.host_id:
            return
        values = _unpacked("args", message)
        try:
            await self._answered(message["sid"], message["id"], bool(message.get("only")), values)
        except Exception:
            _log.exception("A callback failed.")

    async def _answered(self, sid: Any, number: int, is_only: bool, values: Sequence[Any]) -> None:
        """Call the callback that an answer is for, unless it is forgotten."""
        callback = self.callbacks.get(sid, {}).get(number) if number else None
        if callback is None:
            return
        if is_only:
            self._forget(sid, number)
        result = callback(*values)
        if inspect.isawaitable(result):
            await result

    async def _publish(self, data: Mapping[str, Any]) -> None:
        if data["method"] != "emit":  # `_handle_emit` has published those
            self.bus.publish(data)

    async def _handle_emit(self, message: Mapping[str, Any]) -> None:
        # Publish before the local delivery, which may pause: otherwise a later emit of another task
        # could reach the other hosts first.
        own = message.get("host_id") == self.host_id
        message_id = self.bus.publish(message) if own else message.get("message_id")
        callback = message.get("callback")
        if callback is not None:
            is_only = self.is_connected(callback[0], message["namespace"])
            callback = partial(self._return_callback, message.get("host_id"), *callback, is_only)
        await self.emit_here(
            message["event"],
            _data(message),
            message.get("namespace"),
            message.get("room"),
            message.get("skip_sid"),
            callback,
            message_id=message_id,
        )


def _data(message: Mapping[str, Any]) -> Any:
    """Return a message's data in the form that `emit` takes."""
    data = _unpacked("data", message)
    if not isinstance(data, list):
        return data
    return data[0] if len(data) == 1 else tuple(data)


def _packed(key: str, values: list[Any]) -> dict[str, Any]:
    """Return the part of a message that carries values, with bytes as python-socketio does it.

    Raises ValueError for attachments that no client accepts.
    """
    if not has_bytes(values):
        return {key: values}
    rest, attachments = detach(values)
    return {key: [rest, *(base64.b64encode(one).decode() for one in attachments)], "binary": True}


def _unpacked(key: str, message: Mapping[str, Any]) -> Any:
    """Return the values that a message carries."""
    values = message[key]
    if not message.get("binary"):
        return values
    return Packet.reconstruct_binary(values[0], [base64.b64decode(text) for text in values[1:]])
