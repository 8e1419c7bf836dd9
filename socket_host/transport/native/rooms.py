"""Namespaces, their members, and the rooms that the members are in."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from socket_host.transport.native.message import Message
from socket_host.transport.native.write_batch import Audience

if TYPE_CHECKING:
    from socket_host.transport.native.client import Client, Replaying
    from socket_host.transport.native.recovery import ReplayPoint
    from socket_host.transport.native.replay_buffer import ReplayBuffer


class Stage(enum.Enum):
    """Where a member is between CONNECT and DISCONNECT."""

    CONNECTING = enum.auto()
    CONNECTED = enum.auto()
    LEAVING = enum.auto()


class Member:
    """One client in one namespace: what Socket.IO calls a socket."""

    __slots__ = ("client", "held", "namespace", "replay", "replay_point", "rooms", "sid", "stage")

    def __init__(self, sid: str, client: Client, namespace: Namespace) -> None:
        self.sid = sid
        self.client = client
        self.namespace = namespace
        self.stage = Stage.CONNECTING
        # Names, with the replay buffer's position at entry; None if it is in no room.
        self.rooms: dict[Any, int] | None = None
        self.replay_point: ReplayPoint | None = None  # None without recovery
        self.replay: Replaying | None = None  # while missed events are being sent
        # Messages that wait, with the position in the replay buffer after which they belong.
        self.held: list[tuple[int, Message]] | None = None

    def send(self, message: Message) -> None:
        """Send `message`, or hold it between `hold` and `release`."""
        if self.held is None:
            self.client.send(message)
            return
        replay_buffer = self.namespace.replay_buffer
        self.held.append((replay_buffer.position if replay_buffer else 0, message))
        self.client.count_held(message)

    def deliver(self, message: Message, volatile: bool = False) -> None:
        """Send an event, or hold it.

        Events in the replay buffer need not be held. Volatile events are not in it, and are held
        for a member that is still connecting.
        """
        must_hold = volatile and self.stage is Stage.CONNECTING
        if self.held is None or self.namespace.replay_buffer is None or must_hold:
            self.send(message)

    def hold(self) -> None:
        """Start holding messages, which must not arrive before the answer to CONNECT."""
        self.held = []

    def unhold(self) -> Message:
        """Remove and return the oldest held message."""
        assert self.held
        _, message = self.held.pop(0)
        self.client.uncount([message])
        return message

    def release(self) -> None:
        """Send the held messages, and stop holding."""
        while self.held:
            self.client.send(self.unhold())
        self.held = None
        self.refresh()

    def refresh(self) -> None:
        """Rebuild the audiences that this member belongs to."""
        self.namespace.everybody.audience = None
        for name in self.rooms or ():
            self.namespace.rooms[name].audience = None
        if self.replay is not None:
            self.replay.proceed_soon()


class Room:
    """The members of one room, and a snapshot of them that broadcasts use."""

    __slots__ = ("audience", "indirect", "members")

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.audience: Audience | None = None
        self.indirect: list[Member] = []

    def add(self, member: Member) -> None:
        """Put `member` into the room."""
        self.members[member.sid] = member
        self.audience = None

    def remove(self, member: Member) -> None:
        """Take `member` out of the room, if it is there."""
        if self.members.pop(member.sid, None):
            self.audience, self.indirect = None, []  # also drops references to the member

    def gather(self) -> Audience:
        """Return the members that can be written to directly; `indirect` has the others."""
        if self.audience is None:
            self.audience, self.indirect = gather(self.members.values())
        return self.audience


def gather(members: Iterable[Member]) -> tuple[Audience, list[Member]]:
    """Split `members` into those that can be written to directly and those that cannot."""
    clients, writes, indirect = [], [], []
    for member in members:
        client = member.client
        if client.write is not None and member.held is None:
            clients.append(client)
            writes.append(client.write)
        else:
            indirect.append(member)
    return Audience(clients, writes), indirect


class Namespace:
    """The members of a namespace and its rooms; each sid also names a room, of that member."""

    __slots__ = ("everybody", "name", "replay_buffer", "rooms")

    def __init__(self, name: str, replay_buffer: ReplayBuffer | None = None) -> None:
        self.name = name
        self.replay_buffer = replay_buffer  # None without recovery
        self.everybody = Room()
        self.rooms: dict[Any, Room] = {}

    def __contains__(self, room: object) -> bool:
        return room is None or room in self.rooms or room in self.everybody.members

    def __getitem__(self, room: Any) -> dict[str, str]:
        if room not in self:
            raise KeyError(room)
        return {member.sid: member.client.sid for member in self.members(room)}

    def __iter__(self) -> Iterator[Any]:
        yield None
        yield from self.everybody.members
        yield from self.rooms

    def keys(self) -> Iterator[Any]:
        """Yield the names of all rooms as python-socketio has them: None, sids, and others."""
        return iter(self)

    def values(self) -> Iterator[dict[str, str]]:
        """Yield the rooms, as `get` does."""
        return (self[room] for room in list(self))

    def items(self) -> Iterator[tuple[Any, dict[str, str]]]:
        """Yield the rooms with their names."""
        return ((room, self[room]) for room in list(self))

    def get(self, room: Any, default: Any = None) -> Any:
        """Return a room as python-socketio has it: a mapping from sid to Engine.IO sid."""
        return self[room] if room in self else default  # noqa: SIM401 - this is `get`

    def members(self, room: Any) -> Iterable[Member]:
        """Return the members of a room, of several rooms in a list or tuple, or all for None."""
        if room is None:
            return self.everybody.members.values()
        if isinstance(room, (list, tuple, set, frozenset)):
            return {member.sid: member for one in room for member in self.members(one)}.values()
        if room in self.rooms:
            return self.rooms[room].members.values()
        member = self.everybody.members.get(room)
        return (member,) if member else ()

    def room(self, room: Any) -> Room | None:
        """Return the room of that name; None if `room` is a list or does not exist."""
        if room is None:
            return self.everybody
        return None if isinstance(room, (list, tuple, set, frozenset)) else self.rooms.get(room)

    def enter(self, member: Member, room: Any, position: int = 0) -> None:
        """Put `member` into a room, which is created with its first member.

        `position` is the replay buffer's: earlier events were not for this member.
        """
        if room not in self.rooms:
            self.rooms[room] = Room()
        self.rooms[room].add(member)
        if member.rooms is None:
            member.rooms = {}
        member.rooms.setdefault(room, position)

    def leave(self, member: Member, room: Any) -> None:
        """Take `member` out of a room, which is deleted with its last member."""
        if not member.rooms or room not in member.rooms:
            return
        del member.rooms[room]
        self.rooms[room].remove(member)
        if not self.rooms[room].members:
            del self.rooms[room]

    def names(self, member: Member) -> Iterator[Any]:
        """Yield the names of the rooms that `member` is in, its own sid first."""
        yield member.sid
        yield from member.rooms or ()
