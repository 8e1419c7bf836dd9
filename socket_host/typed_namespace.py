"""python-socketio's namespace with types: a handler's methods for clients and rooms."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    # python-socketio ships no types, so mypy would miss misspelt names in classes derived from it.
    class AsyncNamespace:
        """Stands in for python-socketio's class in mypy."""

        def __init__(self, namespace: str | None = None) -> None: ...
else:
    from socketio import AsyncNamespace

P = ParamSpec("P")
T = TypeVar("T")

Room = str
Rooms = str | Sequence[str] | None
Sids = str | Sequence[str] | None


class Server(Protocol):
    """The part of `socketio.AsyncServer` that namespaces use, and what transports add to it.

    A namespace's methods handle events: `on` and `event` are refused.
    """

    manager: Any
    namespace_handlers: dict[str, Any]  # the namespaces, by name

    def emit(
        self,
        event: str,
        data: object = None,
        to: Rooms = None,
        room: Rooms = None,
        skip_sid: Sids = None,
        namespace: str | None = None,
        callback: Callable[..., object] | None = None,
        ignore_queue: bool = False,
    ) -> Coroutine[Any, Any, None]:
        """Send an event to clients; `ignore_queue` limits it to those of this host."""

    def call(
        self,
        event: str,
        data: object = None,
        to: str | None = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float = 60,
        ignore_queue: bool = False,
    ) -> Coroutine[Any, Any, Any]:
        """Send an event to one client; return its ack."""

    def disconnect(
        self, sid: str, namespace: str | None = None, ignore_queue: bool = False
    ) -> Coroutine[Any, Any, None]:
        """Disconnect a client."""

    def enter_room(
        self, sid: str, room: Room, namespace: str | None = None
    ) -> Coroutine[Any, Any, None]:
        """Put a client into a room."""

    def leave_room(
        self, sid: str, room: Room, namespace: str | None = None
    ) -> Coroutine[Any, Any, None]:
        """Take a client out of a room."""

    def close_room(self, room: Room, namespace: str | None = None) -> Coroutine[Any, Any, None]:
        """Take all clients out of a room."""

    def rooms(self, sid: str, namespace: str | None = None) -> list[Room]:
        """Return a client's rooms, including its own."""

    def get_session(
        self, sid: str, namespace: str | None = None
    ) -> Coroutine[Any, Any, dict[str, Any]]:
        """Return what was saved for a client."""

    def save_session(
        self, sid: str, session: dict[str, Any], namespace: str | None = None
    ) -> Coroutine[Any, Any, None]:
        """Save data for a client."""

    def session(
        self, sid: str, namespace: str | None = None
    ) -> AbstractAsyncContextManager[dict[str, Any]]:
        """Return what was saved for a client; changes are saved at the end."""

    def start_background_task(
        self, target: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Task[T]:
        """Start a task in the background."""

    def recovered(self, sid: str, namespace: str) -> bool:
        """Return whether a connecting client has recovered its state."""

    def caught_up(self, sid: str, namespace: str) -> Awaitable[bool]:
        """Wait until a client has read what it was sent; return whether it is still connected."""


class TypedNamespace(AsyncNamespace):
    """`socketio.AsyncNamespace`: the same methods, with types.

    They return an awaitable instead of awaiting it, to save a frame per call.
    """

    namespace: str
    server: Server

    def emit(
        self,
        event: str,
        data: object = None,
        to: Rooms = None,
        room: Rooms = None,
        skip_sid: Sids = None,
        namespace: str | None = None,
        callback: Callable[..., object] | None = None,
        ignore_queue: bool = False,
    ) -> Coroutine[Any, Any, None]:
        """Send an event to a client, a room, several rooms, or the whole namespace.

        A tuple stands for several arguments. `ignore_queue` limits it to the clients of this host.
        """
        namespace = namespace or self.namespace
        return self.server.emit(event, data, to, room, skip_sid, namespace, callback, ignore_queue)

    def send(
        self,
        data: object,
        to: Rooms = None,
        room: Rooms = None,
        skip_sid: Sids = None,
        namespace: str | None = None,
        callback: Callable[..., object] | None = None,
        ignore_queue: bool = False,
    ) -> Coroutine[Any, Any, None]:
        """Send the event `message`."""
        return self.emit(
            "message", data, to, room, skip_sid, namespace, callback, ignore_queue=ignore_queue
        )

    def call(
        self,
        event: str,
        data: object = None,
        to: str | None = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float = 60,
        ignore_queue: bool = False,
    ) -> Coroutine[Any, Any, Any]:
        """Send an event to one client; return its ack, or raise python-socketio's TimeoutError."""
        namespace = namespace or self.namespace
        return self.server.call(event, data, to, sid, namespace, timeout, ignore_queue)

    def disconnect(self, sid: str, namespace: str | None = None) -> Coroutine[Any, Any, None]:
        """Disconnect a client; it does not reconnect by itself."""
        return self.server.disconnect(sid, namespace or self.namespace)

    def enter_room(
        self, sid: str, room: Room, namespace: str | None = None
    ) -> Coroutine[Any, Any, None]:
        """Put a client into a room."""
        return self.server.enter_room(sid, room, namespace or self.namespace)

    def leave_room(
        self, sid: str, room: Room, namespace: str | None = None
    ) -> Coroutine[Any, Any, None]:
        """Take a client out of a room."""
        return self.server.leave_room(sid, room, namespace or self.namespace)

    def close_room(self, room: Room, namespace: str | None = None) -> Coroutine[Any, Any, None]:
        """Take all clients out of a room."""
        return self.server.close_room(room, namespace or self.namespace)

    def rooms(self, sid: str, namespace: str | None = None) -> list[Room]:
        """Return a client's rooms, including its own, which has its sid as its name."""
        return self.server.rooms(sid, namespace or self.namespace)

    def get_session(
        self, sid: str, namespace: str | None = None
    ) -> Coroutine[Any, Any, dict[str, Any]]:
        """Return what was saved for a client."""
        return self.server.get_session(sid, namespace or self.namespace)

    def save_session(
        self, sid: str, session: dict[str, Any], namespace: str | None = None
    ) -> Coroutine[Any, Any, None]:
        """Save data for a client."""
        return self.server.save_session(sid, session, namespace or self.namespace)

    def session(
        self, sid: str, namespace: str | None = None
    ) -> AbstractAsyncContextManager[dict[str, Any]]:
        """Return what was saved for a client; changes are saved at the end of the `async with`."""
        return self.server.session(sid, namespace or self.namespace)
