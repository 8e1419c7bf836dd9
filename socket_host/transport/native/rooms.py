"""Who is where: namespaces, their members, and the rooms these are in."""

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
        # Names, with the replay position at which it entered; None if it is in no room.
        self.rooms: dict[Any, int] | None = None
        self.replay_point: ReplayPoint | None = None  # None if nobody can be recovered
        self.replay: Replaying | None = None  # while there is something it has missed
        # What waits, with the position in the replay buffer behind which it belongs.
        self.held: list[tuple[int, Message]] | None = None

    def send(self, message: Message) -> None:
        """Send `message`, or hold it as long as `hold` says so."""
        if self.held is None:
            self.client.send(message)
            return
        replay_buffer = self.namespace.replay_buffer
        self.held.append((replay_buffer.position if replay_buffer else 0, message))
        self.client.count_held(message)

    def deliver(self, message: Message, volatile: bool = False) -> None:
        """Send an event, or hold it.

        What is in the replay buffer need not be held. A volatile event is not, and is held for a
        member that is still being greeted.
        """
        greeted_with = volatile and self.stage is Stage.CONNECTING
        if self.held is None or self.namespace.replay_buffer is None or greeted_with:
            self.send(message)

    def hold(self) -> None:
        """Keep what is sent from now on: nothing may arrive before the answer to CONNECT."""
        self.held = []

    def unhold(self) -> Message:
        """Take the oldest of what is held."""
        assert self.held
        _, message = self.held.pop(0)
        self.client.uncount([message])
        return message

    def release(self) -> None:
        """Send what was held; from now on nothing is."""
        while self.held:
            self.client.send(self.unhold())
        self.held = None
        self.refresh()

    def refresh(self) -> None:
        """Have the audiences this member belongs to made anew."""
        self.namespace.everybody.audience = None
        for name in self.rooms or ():
            self.namespace.rooms[name].audience = None
        if self.replay is not None:
            self.replay.proceed_soon()


class Room:
    """The members of one room, and a snapshot of them that broadcasts go through."""

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
            self.audience, self.indirect = None, []  # or the next broadcast would let go of it

    def gather(self) -> Audience:
        """Return those who can be written to at once; `indirect` has the others."""
        if self.audience is None:
            self.audience, self.indirect = gather(self.members.values())
        return self.audience


def gather(members: Iterable[Member]) -> tuple[Audience, list[Member]]:
    """Part `members` into those who can be written to at once and those who cannot."""
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
    """The members of a namespace and its rooms; every sid is a room of its own, at no cost."""

    __slots__ = ("everybody", "name", "replay_buffer", "rooms")

    def __init__(self, name: str, replay_buffer: ReplayBuffer | None = None) -> None:
        self.name = name
        self.replay_buffer = replay_buffer  # of what is emitted here, if clients are recovered
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
        """Yield the names of all rooms, as python-socketio keeps them: None, sids, and others."""
        return iter(self)

    def values(self) -> Iterator[dict[str, str]]:
        """Yield the rooms, as `get` does."""
        return (self[room] for room in list(self))

    def items(self) -> Iterator[tuple[Any, dict[str, str]]]:
        """Yield the rooms with their names."""
        return ((room, self[room]) for room in list(self))

    def get(self, room: Any, default: Any = None) -> Any:
        """Return the room as python-socketio keeps it, from sid to Engine.IO sid."""
        return self[room] if room in self else default  # noqa: SIM401 - this is `get`

    def members(self, room: Any) -> Iterable[Member]:
        """Return the members of a room, of several (as a list or tuple), or of None, all."""
        if room is None:
            return self.everybody.members.values()
        if isinstance(room, (list, tuple, set, frozenset)):
            return {member.sid: member for one in room for member in self.members(one)}.values()
        if room in self.rooms:
            return self.rooms[room].members.values()
        member = self.everybody.members.get(room)
        return (member,) if member else ()

    def room(self, room: Any) -> Room | None:
        """Return the room of that name, or None if `room` is not the name of exactly one."""
        if room is None:
            return self.everybody
        return None if isinstance(room, (list, tuple, set, frozenset)) else self.rooms.get(room)

    def enter(self, member: Member, room: Any, position: int = 0) -> None:
        """Put `member` into a room, which begins to exist with its first member.

        `position` is the replay buffer's: what came before it was not for this member.
        """
        if room not in self.rooms:
            self.rooms[room] = Room()
        self.rooms[room].add(member)
        if member.rooms is None:
            member.rooms = {}
        member.rooms.setdefault(room, position)

    def leave(self, member: Member, room: Any) -> None:
        """Take `member` out of a room, which ends with its last member."""
        if not member.rooms or room not in member.rooms:
            return
        del member.rooms[room]
        self.rooms[room].remove(member)
        if not self.rooms[room].members:
            del self.rooms[room]

    def names(self, member: Member) -> Iterator[Any]:
        """Yield the names of the rooms `member` is in, its own first."""
        yield member.sid
        yield from member.rooms or ()
