"""The client manager: keeps the members of rooms, and sends events to them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import socketio  # type: ignore[import-untyped]  # python-socketio ships no types

from socket_host.transport.bus_manager import BusManager, check_event
from socket_host.transport.native.client import Client
from socket_host.transport.native.encoding import arguments_of
from socket_host.transport.native.message import Message
from socket_host.transport.native.recovery import Recovery, ReplayPoint, ResumedSession
from socket_host.transport.native.replay import Replay
from socket_host.transport.native.replay_buffer import MAX_BYTES, MAX_ENTRIES
from socket_host.transport.native.rooms import Member, Namespace, Stage, gather
from socket_host.transport.native.socket_packet import EVENT

DELIVERY = 256  # bytes: the fixed cost of sending an event to one client


class FanOut(socketio.AsyncManager):  # type: ignore[misc]  # ships no types
    """The client manager: rooms in memory, and broadcasts written straight to the transports.

    A manager for several hosts lists it after one of python-socketio's:
    `class Manager(socketio.AsyncRedisManager, FanOut)`.
    """

    rooms: dict[str, Namespace]

    async def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: Any = None,
        callback: Any = None,
        to: Any = None,
        *,
        message_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Send an event to a member, a room, several rooms, or the whole namespace.

        `message_id` is its id on the bus.
        """
        if callback:
            skipped = _listed(skip_sid)
            self._emit_for_acks(namespace, to or room, skipped, _outgoing(event, data), callback)
        else:
            self._emit(namespace, to or room, _listed(skip_sid), _outgoing(event, data), message_id)
        if self.crowded:
            self.flush()
            await asyncio.sleep(0)

    def emit_now(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: Any = None,
        message_id: str | None = None,
    ) -> None:
        """Emit without yielding to other tasks."""
        self._emit(namespace, room, _listed(skip_sid), _outgoing(event, data), message_id)

    @property
    def crowded(self) -> bool:
        """Whether a handler that emits in a loop should yield to other tasks."""
        full: bool = self.server.eio.engine.batch.full
        return full

    def flush(self) -> None:
        """Write what was emitted so far, without waiting for the event loop's iteration to end."""
        self.server.eio.engine.batch.flush()

    def _emit(
        self,
        namespace: str,
        room: Any,
        skipped: list[Any],
        arguments: list[Any],
        message_id: str | None,
    ) -> None:
        recovery: Recovery | None = self.server.recovery
        hooks = self.server.hooks.get(namespace)
        kept, volatile = 0.0, False
        if recovery is None:
            message = self.server.message(EVENT, namespace, None, arguments)
        else:
            if message_id is not None:
                skipped = skipped + recovery.received_elsewhere(message_id)
            replay_buffer = recovery.replay_buffer
            volatile = hooks is not None and arguments[0] in hooks.volatile
            if volatile:
                # Clients take the last string of any event as an offset, so add the current one.
                arguments.append(replay_buffer.offset(replay_buffer.position))
                message = self.server.message(EVENT, namespace, None, arguments)
            else:
                # Even if the namespace is empty, since disconnected members may come back.
                arguments.append(replay_buffer.next_offset())
                message = self.server.message(EVENT, namespace, None, arguments)
                replay_buffer.add(message, namespace, room, skipped, message_id)
                kept = len(message.frames) / MAX_BYTES + 1 / MAX_ENTRIES
        space = self.rooms.get(namespace)
        reached = self._broadcast(space, room, skipped, message, volatile) if space else 0
        if hooks is not None:
            hooks.count_sent(room, reached, len(message.frames) + DELIVERY, kept)

    def _broadcast(
        self, space: Namespace, room: Any, skipped: list[Any], message: Message, volatile: bool
    ) -> int:
        """Send a message; return how many members it reached."""
        members = space.everybody.members
        if isinstance(room, str) and room in members:
            if room in skipped:
                return 0
            if volatile:  # not in the replay buffer, so it must be held during a replay
                members[room].send(message)
            else:
                members[room].deliver(message)
            return 1
        named = space.room(room)
        if named is not None:
            audience, indirect = named.gather(), named.indirect
        else:
            audience, indirect = gather(space.members(room))
        left_out = frozenset(members[sid].client for sid in skipped if sid in members)
        if audience.clients:
            self.server.eio.engine.batch.broadcast(audience, left_out, message)
        for member in list(indirect):
            if member.client not in left_out:
                member.deliver(message, volatile)
        return max(0, len(audience.clients) + len(indirect) - len(left_out))

    def _emit_for_acks(
        self, namespace: str, room: Any, skipped: list[Any], arguments: list[Any], callback: Any
    ) -> None:
        space = self.rooms.get(namespace)
        hooks = self.server.hooks.get(namespace)
        for member in list(space.members(room)) if space else ():
            if member.sid not in skipped:
                ack = self._generate_ack_id(member.sid, callback)
                message = self.server.message(EVENT, namespace, ack, arguments)
                member.send(message)
                if hooks is not None:
                    hooks.count_sent(room, 1, len(message.frames) + DELIVERY, 0.0)

    async def trigger_callback(self, sid: str, id: int, data: list[Any]) -> None:  # noqa: A002 - theirs
        """Call the callback of an ack; ignore, without logging, an ack that has none."""
        if id and id in self.callbacks.get(sid, {}):
            await super().trigger_callback(sid, id, data)

    def member(self, sid: str, namespace: str) -> Member | None:
        """Return the member with that sid."""
        space = self.rooms.get(namespace)
        return space.everybody.members.get(sid) if space else None

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        """Yield the sids in a room, each with its Engine.IO sid."""
        space = self.rooms.get(namespace)
        for member in list(space.members(room)) if space else ():
            yield member.sid, member.client.sid

    async def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        """Make the client a member that is still connecting."""
        client = self.server.eio.engine.clients.get(eio_sid)
        resumed, offset = self.server.resuming.pop((eio_sid, namespace), (None, None))
        if client is None or namespace in client.members:
            return None
        if resumed is not None and self.member(resumed.disconnected.sid, namespace) is not None:
            resumed = None  # another connection has resumed it already
        member = self.begin(client, namespace, resumed and resumed.disconnected.sid, offset)
        if resumed is not None:
            self._restore(member, resumed)
        return member.sid

    def begin(
        self, client: Client, namespace: str, sid: str | None = None, offset: str | None = None
    ) -> Member:
        """Make the client a member that is still connecting.

        `sid` is that of a resumed session, and `offset` is the last one that the client has had.
        """
        space = self.rooms.get(namespace)
        if space is None:
            recovery = self.server.recovery
            space = Namespace(namespace, recovery and recovery.replay_buffer)
            self.rooms[namespace] = space
        member = Member(sid or self.server.eio.generate_id(), client, space)
        if space.replay_buffer is not None:
            member.replay_point = ReplayPoint(space.replay_buffer.position, offset)
        member.hold()
        space.everybody.add(member)
        client.members[namespace] = member
        return member

    def _restore(self, member: Member, resumed: ResumedSession) -> None:
        """Restore the rooms and the session of a resumed member, and prepare its replay."""
        space, client = member.namespace, member.client
        assert space.replay_buffer is not None
        member.replay_point = resumed.replay_point
        member.replay = Replay(
            self.server.replays, member, space.replay_buffer, resumed.replay_point, resumed.pid
        )
        for room, position in resumed.disconnected.rooms.items():
            space.enter(member, room, position)
        if resumed.disconnected.data is not None:
            client.session[space.name] = resumed.disconnected.data
        client.ping_position = -1  # a ping on its way confirms nothing about the replay

    async def connect(self, sid: str, namespace: str) -> str:
        """Mark a member as connected."""
        member = self.member(sid, namespace)
        if member is not None:
            self.connected(member)
        return sid

    def connected(self, member: Member) -> None:
        """Mark a member as connected, and send it what was held for it."""
        member.stage = Stage.CONNECTED
        member.client.engine.joined(member.client)
        replay_buffer, replay_point = member.namespace.replay_buffer, member.replay_point
        # Events that were emitted while it connected are replayed too.
        if (
            member.replay is None
            and replay_buffer
            and replay_point
            and replay_point.start < replay_buffer.position
        ):
            member.replay = Replay(self.server.replays, member, replay_buffer, replay_point)
        if member.replay is None:
            member.release()
        else:
            member.replay.proceed_soon()

    def is_pre_connected(self, sid: str, namespace: str) -> bool:
        """Return whether a member is still connecting."""
        member = self.member(sid, namespace)
        return member is not None and member.stage is Stage.CONNECTING

    def is_connected(self, sid: str, namespace: str) -> bool:
        """Return whether a member is connected, and not leaving."""
        member = self.member(sid, namespace)
        return member is not None and member.stage is Stage.CONNECTED

    def sid_from_eio_sid(self, eio_sid: str, namespace: str) -> str | None:
        """Return the sid a client has in a namespace."""
        client = self.server.eio.engine.clients.get(eio_sid)
        member = client and client.members.get(namespace)
        return member.sid if member else None

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        """Return the Engine.IO sid of a member."""
        member = self.member(sid, namespace)
        return member.client.sid if member else None

    def pre_disconnect(self, sid: str, namespace: str) -> str | None:
        """Mark a member as leaving; it stays in its rooms until its disconnect handler has run."""
        member = self.member(sid, namespace)
        if member is None:
            return None
        member.stage = Stage.LEAVING
        return member.client.sid

    def basic_disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        """Remove a member and its session, in time proportional to the number of its own rooms."""
        member = self.member(sid, namespace)
        if member is None:
            return
        member.replay = None
        space = member.namespace
        for room in list(member.rooms or ()):
            self.basic_leave_room(sid, namespace, room)
        space.everybody.remove(member)
        if not space.everybody.members:
            self.rooms.pop(namespace, None)
        self.callbacks.pop(sid, None)
        client = member.client
        client.members.pop(namespace, None)
        client.session.pop(namespace, None)
        if not any(other.stage is Stage.CONNECTED for other in client.members.values()):
            client.engine.left(client)

    def is_sid_room(self, namespace: str, room: Any) -> bool:
        """Return whether `room` is the sid of a member."""
        return self.member(room, namespace) is not None

    def basic_enter_room(
        self, sid: str, namespace: str, room: Any, eio_sid: str | None = None
    ) -> None:
        """Put a member into a room; raises ValueError with python-socketio's messages."""
        member = self.member(sid, namespace)
        if member is None:
            raise ValueError("sid is not connected to requested namespace")
        if room == sid:
            return  # it is in that room already
        if self.is_sid_room(namespace, room):
            raise ValueError("Another client's sid room cannot be entered.")
        recovery = self.server.recovery
        member.namespace.enter(member, room, recovery.replay_buffer.position if recovery else 0)

    def basic_leave_room(self, sid: str, namespace: str, room: Any) -> None:
        """Take a member out of a room, if it is in it."""
        member = self.member(sid, namespace)
        if member is not None:
            member.namespace.leave(member, room)

    def count_rooms(self, sid: str, namespace: str) -> int:
        """Return how many rooms a member is in, besides its own."""
        member = self.member(sid, namespace)
        return len(member.rooms or ()) if member else 0

    def get_rooms(self, sid: str, namespace: str) -> list[Any]:
        """Return the names of a member's rooms, including its own sid."""
        member = self.member(sid, namespace)
        return list(member.namespace.names(member)) if member else []


class NativeManager(BusManager, FanOut):
    """A FanOut on the host's bus."""

    emit_here = FanOut.emit


def _outgoing(event: str, data: Any) -> list[Any]:
    check_event(event)
    return [event, *arguments_of(data)]


def _listed(skip_sid: Any) -> list[Any]:
    if isinstance(skip_sid, list):
        return skip_sid
    return [skip_sid] if skip_sid else []
