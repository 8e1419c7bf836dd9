"""The client manager: python-socketio's, with a count of what events cost."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import socketio  # type: ignore[import-untyped]  # python-socketio ships no types
from socketio.packet import EVENT  # type: ignore[import-untyped]  # as above

from socket_host.transport.bus_manager import BusManager, check_event
from socket_host.transport.hooks import Hooks
from socket_host.transport.stock.packet import measure

# The fixed cost of sending an event to one client, in bytes. The native transport's is much lower.
_DELIVERY = 1_500


class CountedRooms(socketio.AsyncManager):  # type: ignore[misc]  # python-socketio ships no types
    """Rooms that report the cost of each event to the namespace's hooks."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._entered: Counter[tuple[str, str]] = Counter()  # rooms, by sid and namespace

    async def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: Any = None,
        callback: Any = None,
        to: Any = None,
        **kwargs: Any,
    ) -> None:
        """Send an event and count its cost; raise ValueError if it cannot be sent."""
        check_event(event)
        size = measure(EVENT, [event, *(data if isinstance(data, tuple) else (data,))])
        handler = self.server.namespace_handlers.get(namespace)
        if isinstance(handler, Hooks):
            reached = self._count(namespace, to or room)
            handler.count_sent(to or room, reached, size + _DELIVERY, 0.0)
        await super().emit(event, data, namespace, room, skip_sid, callback, to, **kwargs)

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        """Return the sids in a room, or in several, each with its Engine.IO sid."""
        if room == []:  # for which python-socketio raises IndexError
            return iter(())
        participants: Iterator[tuple[str, str]] = super().get_participants(namespace, room)
        return participants

    def basic_enter_room(
        self, sid: str, namespace: str, room: Any, eio_sid: str | None = None
    ) -> None:
        """Put a client into a room; raise ValueError if it is not in the namespace."""
        if eio_sid is None and self.eio_sid_from_sid(sid, namespace) is None:
            raise ValueError("sid is not connected to requested namespace")
        before = self._is_in(sid, namespace, room)
        super().basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
        if not before and room not in (None, sid):
            self._entered[sid, namespace] += 1

    def basic_leave_room(self, sid: str, namespace: str, room: Any) -> None:
        """Take a client out of a room, if it is in it."""
        if room not in (None, sid) and self._is_in(sid, namespace, room):
            self._entered[sid, namespace] -= 1
        super().basic_leave_room(sid, namespace, room)

    def count_rooms(self, sid: str, namespace: str) -> int:
        """Return how many rooms a client is in, besides its own."""
        return self._entered.get((sid, namespace), 0)

    def _is_in(self, sid: str, namespace: str, room: Any) -> bool:
        return sid in self.rooms.get(namespace, {}).get(room, ())

    def basic_disconnect(self, sid: str, namespace: str, **options: Any) -> None:
        """Forget a client and its session in a namespace."""
        socket = self.server.eio.sockets.get(self.eio_sid_from_sid(sid, namespace))
        if socket is not None:
            socket.session.pop(namespace, None)
        super().basic_disconnect(sid, namespace, **options)
        self._entered.pop((sid, namespace), None)

    async def trigger_callback(self, sid: str, id: int, data: list[Any]) -> None:  # noqa: A002 - theirs
        """Call the callback of an ack; ignore number 0, where python-socketio keeps a counter."""
        if id:
            await super().trigger_callback(sid, id, data)

    def _count(self, namespace: str, room: Any) -> int:
        """Return how many clients are in a room, or in several."""
        names = room if isinstance(room, (list, tuple)) else [room]
        rooms = self.rooms.get(namespace, {})
        return sum(len(rooms.get(name, ())) for name in names)


class StockManager(BusManager, CountedRooms):
    """python-socketio's rooms, and the bus of the host."""

    crowded = True  # its `emit` always waits
    emit_here = CountedRooms.emit

    def emit_now(self, *_: Any) -> None:
        """Do nothing: it is never called, because `crowded` is always true."""

    def flush(self) -> None:
        """Do nothing: events are written as they are emitted."""
