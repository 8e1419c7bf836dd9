"""A client: one Engine.IO session, whatever carries it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from socket_host.transport.native.environ import Environ
from socket_host.transport.native.frames import NORMAL
from socket_host.transport.native.head import Head
from socket_host.transport.native.message import Message
from socket_host.transport.native.refusal import Refusal

if TYPE_CHECKING:
    from socket_host.transport.native.engine import Engine
    from socket_host.transport.throttle import Throttle

SLICE = 128  # packets for which a client is charged together

BUSY = 1  # why a websocket is not being read: its last packet is still being worked on


# Bytes that may wait for a client before its next event is answered: a transport's own buffer.
UNREAD = 64 * 1024


class Socket(Protocol):
    """The websocket of a client, or one that is about to be."""

    client: Client | None
    prober: Client | None
    transport: asyncio.Transport

    def __hash__(self) -> int:
        """Be in sets and dictionaries."""

    def carry(self, client: Client) -> None:
        """Carry a client from now on."""

    def press(self, frames: bytes) -> None:
        """Write frames to a client that may not be reading."""

    def hold(self, reason: int) -> None:
        """Read no more, for a reason."""

    def release(self, reason: int) -> None:
        """Read again, if there is no other reason not to."""

    def end(self, code: int = NORMAL, reason: str = "") -> None:
        """Say goodbye, and wait a little for the client to hang up."""

    def abort(self) -> None:
        """Hang up at once."""


class Replaying(Protocol):
    """What a client has missed, on its way to it."""

    @property
    def running(self) -> bool:
        """Whether there is something still to be sent."""

    def piece(self) -> list[Message]:
        """Return what is to be sent next."""

    def proceed_soon(self) -> None:
        """Go on, if the client can be sent something."""


class Membership(Protocol):
    """A client in a namespace, as far as the client itself has to do with it."""

    sid: str
    stage: Any
    held: Any
    replay_point: Any

    @property
    def replay(self) -> Replaying | None:
        """What it has missed, if there is something."""

    def refresh(self) -> None:
        """Have the audiences it belongs to made anew."""


class Client:
    """One Engine.IO session.

    `write` is the transport's own method while frames may go straight to it; it is None for a
    client that polls, that is on its way to a websocket, whose buffer is full, or that is gone.
    """

    __slots__ = (
        "busy",
        "closed",
        "closing",
        "ending",
        "engine",
        "environ",
        "fetched",
        "inbox",
        "joined",
        "members",
        "partial",
        "poll",
        "posting",
        "probe",
        "probed",
        "proof",
        "queue",
        "queued",
        "reading",
        "session",
        "sid",
        "socket",
        "spent",
        "throttle",
        "write",
    )

    def __init__(self, engine: Engine, sid: str, environ: Environ) -> None:
        self.engine = engine
        self.sid = sid
        self.environ = environ
        self.session: dict[str, Any] = {}
        self.members: dict[str, Membership] = {}
        self.closing = False
        self.closed = False
        self.ending: asyncio.Task[None] | None = None  # tells the layer above
        # What came in while the server was busy with an earlier packet; None if it is not.
        self.inbox: deque[str | bytes] | None = None
        self.busy: asyncio.Task[None] | None = None
        self.proof = -1  # replay position that the pong to the last ping proves; -1 for none
        self.partial: Any = None  # a Socket.IO packet that waits for its attachments
        self.joined = False  # it has been in a namespace
        self.spent = 0  # packets it has not been charged for yet
        self.throttle: Throttle | None = None  # while it is, or was lately, busy
        # By websocket:
        self.socket: Socket | None = None
        self.write: Callable[[bytes], None] | None = None
        # By polling:
        self.queue: list[Message] = []
        self.queued = 0  # bytes of what waits: in the queue, or held for a namespace
        self.poll: asyncio.Future[None] | None = None  # the GET that waits for packets
        self.fetched: asyncio.Transport | None = None  # where the last answer to a GET went
        self.posting = False
        self.probe: Socket | None = None  # the websocket that may take over
        self.probed = False  # it has been tried, and is about to
        self.reading: asyncio.Event | None = None  # while something waits for it to read

    @property
    def upgraded(self) -> bool:
        """True once the client is on a websocket."""
        return self.socket is not None

    @property
    def behind(self) -> bool:
        """Whether it has yet to read much of what was sent to it."""
        if self.closing:
            return False
        return self.waiting > UNREAD

    @property
    def waiting(self) -> int:
        """How many bytes were sent to it that it has yet to read."""
        if self.socket is None:
            return self.queued
        return self.queued + self.socket.transport.get_write_buffer_size()

    @property
    def is_fetching(self) -> bool:
        """Whether an answer to a poll is on its way to it: whoever sends that watches over it."""
        fetched = self.fetched
        return fetched is not None and fetched.get_write_buffer_size() > 0

    async def caught_up(self) -> None:
        """Wait until it has read most of what was sent to it, or is gone."""
        while self.behind:
            if self.reading is None:
                self.reading = asyncio.Event()
            await self.reading.wait()

    def has_read(self) -> None:
        """Let go on what waits in `caught_up`."""
        if self.reading is not None:
            self.reading.set()
            self.reading = None

    def send(self, message: Message) -> None:
        """Send `message` after everything that was sent before."""
        if self.write is None:
            self._send_indirectly(message)
        elif self.engine.batch.pending:
            self.engine.batch.single(self, message)
        else:
            self.write(message.frames)

    def push(self, frames: bytes) -> None:
        """Write websocket frames, unless the client has gone in the meantime."""
        if self.write is not None:
            self.write(frames)
        elif self.socket is not None and not self.closing:
            self.socket.press(frames)

    def _send_indirectly(self, message: Message) -> None:
        if self.closing:
            return
        if self.socket is not None:
            self.socket.press(message.frames)
            return
        self.queue.append(message)
        self.count_held(message)
        self.wake()

    def count_held(self, message: Message) -> None:
        """Count the bytes of a message that has to wait."""
        size, engine = len(message.frames), self.engine
        if self.queued > engine.limits.backlog and not self.closing:
            engine.backlogs.add(self, size)
        self.queued += size

    def wake(self) -> None:
        """Let the waiting GET, if there is one, take what is in the queue."""
        if self.poll is not None and not self.poll.done():
            self.poll.set_result(None)

    def pause(self) -> None:
        """Collect what comes in from now on."""
        if self.inbox is None:
            self.inbox = deque()

    def collect(self, data: str | bytes) -> None:
        """Keep `data` for later, and read no more than is on its way.

        Not before: nearly all clients wait for the answer, and need not be paused at all.
        """
        assert self.inbox is not None
        if not self.inbox and self.socket is not None:
            self.socket.hold(BUSY)
        self.inbox.append(data)

    def resume(self) -> None:
        """Collect no more: what was collected is done."""
        self.inbox = None
        if self.socket is not None:
            self.socket.release(BUSY)

    def uncount(self, messages: list[Message]) -> None:
        """Undo `count_held` for messages that no longer wait."""
        self.queued -= sum(len(message.frames) for message in messages)
        if self.engine.backlogs and self.waiting <= self.engine.limits.backlog:
            self.engine.backlogs.forget(self)
        self.has_read()

    def take_queue(self) -> list[Message]:
        """Return the queue and leave an empty one; of what was missed a piece comes with it."""
        queue, self.queue = self.queue, []
        self.uncount(queue)
        for member in self.members.values():
            if member.replay is not None:
                queue += member.replay.piece()
        return queue

    @property
    def replaying(self) -> bool:
        """True while it is sent what it has missed."""
        return any(member.replay and member.replay.running for member in self.members.values())

    def refresh(self) -> None:
        """Have all audiences this client belongs to made anew, after `write` has changed."""
        for member in self.members.values():
            member.refresh()


class Listener(Protocol):
    """What the engine tells the layer above it."""

    def refusal(self, head: Head, environ: Environ, opens: bool) -> Refusal | None:
        """Tell why a request is to be refused, or None; `opens` says it would open a session."""

    def opened(self, client: Client) -> None:
        """A session has begun."""

    def received(self, client: Client, data: str | bytes) -> None:
        """A message came in; raises PacketError."""

    def expired(self, client: Client) -> bool:
        """Tell whether a client has outlived its session; asked before each ping."""

    def closed(self, client: Client, reason: str) -> Coroutine[Any, Any, None]:
        """A session has ended: return what there is to do then."""
