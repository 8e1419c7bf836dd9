"""A client: one Engine.IO session, by polling or by websocket."""

from __future__ import annotations

import asyncio
import math
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING, Any, Protocol

from socket_host.transport.limits import UNREAD
from socket_host.transport.native.environ import Environ
from socket_host.transport.native.frames import NORMAL
from socket_host.transport.native.head import Head
from socket_host.transport.native.message import Message
from socket_host.transport.native.refusal import Refusal

if TYPE_CHECKING:
    from socket_host.transport.native.engine import Engine
    from socket_host.transport.throttle import Throttle

CHARGE_EVERY = 128  # packets

BUSY = 1  # a reason for not reading a websocket: an earlier packet is still being handled


class Socket(Protocol):
    """A websocket that carries a session, or is about to."""

    client: Client | None
    prober: Client | None
    transport: asyncio.Transport

    def __hash__(self) -> int:
        """Allow use in sets and dictionaries."""

    def attach(self, client: Client) -> None:
        """Become the client's transport."""

    def write_tracked(self, frames: bytes) -> None:
        """Write frames to a client that may not be reading, and update its backlog."""

    def hold(self, reason: int) -> None:
        """Stop reading, for a reason."""

    def release(self, reason: int) -> None:
        """Resume reading, if there is no other reason not to."""

    def end(self, code: int = NORMAL, reason: str = "") -> None:
        """Send a close frame, and wait a little for the client to hang up."""

    def abort(self) -> None:
        """Hang up at once."""


class Replaying(Protocol):
    """The missed events that a client is being sent."""

    @property
    def running(self) -> bool:
        """Whether there is more to send."""

    def piece(self) -> list[Message]:
        """Return the next messages to send."""

    def proceed_soon(self) -> None:
        """Go on sending soon."""


class Membership(Protocol):
    """What a client needs from its member in a namespace."""

    sid: str
    stage: Any
    held: Any
    replay_point: Any

    @property
    def replay(self) -> Replaying | None:
        """The replay of missed events, while there is one."""

    def refresh(self) -> None:
        """Rebuild the audiences that the member belongs to."""


class Client:
    """One Engine.IO session.

    `write` is the transport's own method while frames may go straight to it. It is None if the
    client polls, is upgrading, has gone, or has a full write buffer.
    """

    __slots__ = (
        "busy",
        "closed",
        "closing",
        "ending",
        "engine",
        "environ",
        "inbox",
        "joined",
        "members",
        "partial",
        "ping_position",
        "poll",
        "poll_transport",
        "posting",
        "probe",
        "probed",
        "queue",
        "queued",
        "read_event",
        "session",
        "sid",
        "socket",
        "throttle",
        "uncharged",
        "unhandled",
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
        self.ending: asyncio.Task[None] | None = None  # runs the disconnect handlers
        # Messages that came in while an earlier one was being handled; None if none is.
        self.inbox: deque[str | bytes] | None = None
        self.unhandled = 0  # bytes of memory of the messages that wait, here and in `inbox`
        self.busy: asyncio.Task[None] | None = None  # handles the earlier message
        # The replay buffer's position at the last ping, which the pong will confirm; -1 for none.
        self.ping_position = -1
        self.partial: Any = None  # a Socket.IO packet that waits for its attachments
        self.joined = False  # whether it has ever joined a namespace
        self.uncharged = 0  # packets it has not been charged for yet
        self.throttle: Throttle | None = None  # None until it is needed, and after a quiet time
        # By websocket:
        self.socket: Socket | None = None
        self.write: Callable[[bytes], None] | None = None
        # By polling:
        self.queue: list[Message] = []
        self.queued = 0  # bytes that wait: in the queue, or held for a namespace
        self.poll: asyncio.Future[None] | None = None  # resolved to wake the waiting GET
        self.poll_transport: asyncio.Transport | None = None  # of the last GET
        self.posting = False
        self.probe: Socket | None = None  # the websocket that it is upgrading to
        self.probed = False  # whether that websocket has passed the probe
        self.read_event: asyncio.Event | None = None  # while `caught_up` waits

    @property
    def upgraded(self) -> bool:
        """Whether the client is on a websocket."""
        return self.socket is not None

    @property
    def behind(self) -> bool:
        """Whether it has much unread data."""
        if self.closing:
            return False
        return self.waiting > UNREAD

    @property
    def waiting(self) -> int:
        """How many bytes it has yet to read."""
        if self.socket is None:
            return self.queued
        return self.queued + self.socket.transport.get_write_buffer_size()

    @property
    def is_fetching(self) -> bool:
        """Whether it is reading the response to a poll, which has a timeout of its own."""
        fetched = self.poll_transport
        return fetched is not None and fetched.get_write_buffer_size() > 0

    async def caught_up(self, size: int = 0) -> None:
        """Wait until it has read most of its data, or has gone.

        `size` is the memory of the message that has to wait for that.
        """
        self.count_unhandled(size)
        try:
            while self.behind:
                if self.read_event is None:
                    self.read_event = asyncio.Event()
                await self.read_event.wait()
        finally:
            self.count_unhandled(-size)

    def notify_read(self) -> None:
        """Wake the tasks that wait in `caught_up`."""
        if self.read_event is not None:
            self.read_event.set()
            self.read_event = None

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
            self.socket.write_tracked(frames)

    def _send_indirectly(self, message: Message) -> None:
        if self.closing:
            return
        if self.socket is not None:
            self.socket.write_tracked(message.frames)
            return
        self.queue.append(message)
        self.count_held(message)
        self.wake()

    def count_held(self, message: Message) -> None:
        """Count the bytes of a message that has to wait, and update the backlog."""
        size, engine = len(message.frames), self.engine
        if self.queued > UNREAD and not self.closing:
            engine.slow_readers.watch(self)
        if self.queued > engine.limits.backlog and not self.closing:
            engine.backlogs.add(self, size)
        self.queued += size

    def wake(self) -> None:
        """Wake the waiting GET, if there is one, to send the queue."""
        if self.poll is not None and not self.poll.done():
            self.poll.set_result(None)

    def pause(self) -> None:
        """Start collecting messages in the inbox."""
        if self.inbox is None:
            self.inbox = deque()

    def collect(self, data: str | bytes) -> None:
        """Put a message into the inbox, and stop reading the websocket.

        Reading is not stopped earlier, because most clients wait for an answer anyway.
        """
        assert self.inbox is not None
        if not self.inbox and self.socket is not None:
            self.socket.hold(BUSY)
        self.inbox.append(data)
        self.count_unhandled(sys.getsizeof(data))

    def take(self) -> str | bytes:
        """Remove and return the oldest message in the inbox."""
        assert self.inbox
        data = self.inbox.popleft()
        self.count_unhandled(-sys.getsizeof(data))
        return data

    def count_unhandled(self, size: int) -> None:
        """Count the memory of a message that has to wait, or uncount it if `size` is negative.

        The host's budget for input may end this session, or another one.
        """
        if self.closed or not size:
            return
        self.unhandled += size
        if self.unhandled:
            why = "the host held too many of its messages"
            self.engine.input.hold(self, self.unhandled, partial(self.engine.overrun, self, why))
        else:
            self.engine.input.release(self)

    def resume(self) -> None:
        """Stop collecting: the inbox has been handled."""
        self.inbox = None
        if self.socket is not None:
            self.socket.release(BUSY)

    def uncount(self, messages: list[Message]) -> None:
        """Undo `count_held` for messages that no longer wait."""
        self.queued -= sum(len(message.frames) for message in messages)
        if self.engine.backlogs and self.waiting <= self.engine.limits.backlog:
            self.engine.backlogs.forget(self)
        self.notify_read()

    def take_queue(self, most: float = math.inf) -> list[Message]:
        """Take messages out of the queue until they have `most` bytes, or all of them.

        After the last one come some of those that the client has missed.
        """
        sizes = accumulate(len(message.frames) for message in self.queue)
        count = 1 + sum(1 for _ in takewhile(lambda size: size < most, sizes))
        queue, self.queue = self.queue[:count], self.queue[count:]
        self.uncount(queue)
        if self.queue:
            return queue
        for member in self.members.values():
            if member.replay is not None:
                queue += member.replay.piece()
        return queue

    def upgrade(self, socket: Socket) -> None:
        """Replace polling with a websocket."""
        socket.prober, self.probe = None, None
        socket.attach(self)
        self.refresh()
        self.wake()
        if queue := self.take_queue():
            self.push(b"".join(message.frames for message in queue))

    @property
    def replaying(self) -> bool:
        """Whether it is being sent missed events."""
        return any(member.replay and member.replay.running for member in self.members.values())

    def refresh(self) -> None:
        """Rebuild all audiences that this client belongs to, after `write` has changed."""
        for member in self.members.values():
            member.refresh()


class Listener(Protocol):
    """What the engine calls on the Socket.IO server."""

    def refusal(self, head: Head, environ: Environ, opens: bool) -> Refusal | None:
        """Return why to refuse a request, or None; `opens` is whether it would open a session."""

    def opened(self, client: Client) -> None:
        """Handle the start of a session."""

    def received(self, client: Client, data: str | bytes) -> None:
        """Handle a message; raises PacketError."""

    def expired(self, client: Client) -> bool:
        """Return whether a client's session has expired; called before each ping."""

    def closed(self, client: Client, reason: str) -> Coroutine[Any, Any, None]:
        """Return a coroutine that handles the end of a session."""
