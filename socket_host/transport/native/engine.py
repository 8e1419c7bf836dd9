"""Engine.IO, version 4: handshakes, packets, upgrades, and the end of sessions."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from operator import methodcaller
from typing import cast

from socket_host.transport.connections import Connections
from socket_host.transport.limits import UNJOINED, Limits
from socket_host.transport.native import base64_packets, frames
from socket_host.transport.native.backlogs import Backlogs
from socket_host.transport.native.base64_packets import Base64Transport
from socket_host.transport.native.budget import Budget
from socket_host.transport.native.client import CHARGE_EVERY, Client, Listener, Socket
from socket_host.transport.native.environ import Environ
from socket_host.transport.native.frames import FrameError
from socket_host.transport.native.head import Head
from socket_host.transport.native.message import Message
from socket_host.transport.native.packet_types import (
    BASE64,
    CLOSE,
    MESSAGE,
    NOOP,
    OPEN,
    PING,
    PONG,
    UPGRADE,
)
from socket_host.transport.native.reasons import (
    CLIENT_DISCONNECT,
    PING_TIMEOUT,
    SERVER_DISCONNECT,
    TRANSPORT_CLOSE,
    TRANSPORT_ERROR,
    PacketError,
)
from socket_host.transport.native.refusal import (
    bad_method,
    bad_request,
    no_jsonp,
    unknown_session,
    unknown_transport,
    unsupported_version,
)
from socket_host.transport.native.slow_readers import SlowReaders
from socket_host.transport.native.tasks import Tasks
from socket_host.transport.native.turns import Turns
from socket_host.transport.native.upgrades import Upgrades
from socket_host.transport.native.write_batch import WriteBatch
from socket_host.transport.slots import Slots
from socket_host.transport.throttle import FloodError, Throttle
from socket_host.transport.timeout_queue import TimeoutQueue

logger = logging.getLogger(__name__)

_PING = Message.of(PING)

_WORTH_CHARGING = 1_024  # bytes received at once; the limit on packets covers smaller amounts

_HANDLER_SECONDS = 20.0  # for disconnect handlers to end when the host stops
_HANG_UP_SECONDS = 1.0  # for clients to hang up when the host stops


def _address(client: Client) -> bytes:
    return client.environ.address


def _do_nothing(client: Client) -> None:
    """Do nothing with a client."""


class Engine:
    """All sessions of this host; `counts` is how many clients were closed or refused, by cause."""

    def __init__(self, listener: Listener, limits: Limits, new_id: Callable[[], str]) -> None:
        self.listener = listener
        self.limits = limits
        self.new_id = new_id
        self.polls = self.websockets = True
        self.upgrades = Upgrades(limits.probe_time)
        self.compresses_from = 1_024  # bytes of the response to a poll
        self.clients: dict[str, Client] = {}
        self.batch = WriteBatch()
        self.turns = Turns()
        self.input = Budget(limits.partial)  # of incomplete and waiting input
        self.backlogs: Backlogs[Client] = Backlogs(limits, self.overrun)
        self.slow_readers: SlowReaders[Client] = SlowReaders(limits, self.overrun)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.counts: Counter[str] = Counter()
        self.endings: TimeoutQueue[Socket] = TimeoutQueue(limits.ending_time, methodcaller("abort"))
        # Called right before a ping is sent, and when it is answered; for recovery.
        self.pinging: Callable[[Client], object] = _do_nothing
        self.ponged: Callable[[Client], object] = _do_nothing
        self._pings: TimeoutQueue[Client] = TimeoutQueue(limits.ping_interval, self._ping)
        self._pongs: TimeoutQueue[Client] = TimeoutQueue(limits.ping_timeout, self._timed_out)
        self.slots: Slots[Client] = Slots(limits.join_time, self._join_timed_out, _address)
        self.connections = Connections()
        self._tasks = Tasks()
        self.run = self._tasks.run
        # Part of the OPEN packet.
        self._handshake_options = (
            f'"pingInterval":{round((limits.ping_interval + limits.ping_grace) * 1000)},'
            f'"pingTimeout":{round(limits.ping_timeout * 1000)},"maxPayload":{limits.payload}'
        )

    # Handshakes

    def admit(self, environ: Environ, head: Head) -> Client | None:
        """Return the client that a request belongs to, or None if it opens a session.

        Raises Refusal, with the codes and messages that Engine.IO defines.
        """
        parameters = head.parameters()
        if "j" in parameters:
            raise no_jsonp()
        sid = parameters.get("sid")  # empty for a new session, as some clients send it
        if refusal := self.listener.refusal(head, environ, not sid):
            raise refusal
        transport = parameters.get("transport")
        if not self._offers(transport):
            raise unknown_transport()
        if head.upgrades != (transport == "websocket"):
            raise bad_request()
        if sid:
            return self._existing(sid, head)
        if head.method != "GET":
            raise bad_method()
        if parameters.get("EIO") != "4":
            raise unsupported_version()
        return None

    def _offers(self, transport: str | None) -> bool:
        if transport == "websocket":
            return self.websockets
        return transport == "polling" and self.polls

    def _existing(self, sid: str, head: Head) -> Client:
        client = self.clients.get(sid)
        if client is not None and self._pongs.passed(client):
            self.close(client, PING_TIMEOUT)
        if client is None or client.closing:
            raise unknown_session()
        if client.upgraded and not head.upgrades:
            raise bad_request()
        return client

    def open_websocket(self, head: Head, environ: Environ, socket: Socket) -> None:
        """Accept a websocket, for a new session or as the upgrade of one; raises Refusal."""
        client = self.admit(environ, head)
        response = head.accept()
        write = socket.transport.write
        if "b64=" in head.query and head.parameters().get("b64"):
            socket.transport = cast(asyncio.Transport, Base64Transport(socket.transport))
        if client is not None:
            write(response)
            self.upgrades.begin(socket, client)
            return
        client = self._open(environ)
        socket.attach(client)
        write(response + frames.packet_frame(self._open_packet(client, "[]")))

    def open_polling(self, environ: Environ) -> Client:
        """Open a session by polling; its OPEN packet is in the client's queue."""
        client = self._open(environ)
        upgrades = '["websocket"]' if self.upgrades.allowed and self.websockets else "[]"
        client.send(Message.of(self._open_packet(client, upgrades)))
        return client

    def _open(self, environ: Environ) -> Client:
        client = Client(self, self.new_id(), environ)
        self.clients[client.sid] = client
        self._pings.set(client)
        self.slots.open(client)
        self.listener.opened(client)
        return client

    def _open_packet(self, client: Client, upgrades: str) -> str:
        return f'{OPEN}{{"sid":"{client.sid}","upgrades":{upgrades},{self._handshake_options}}}'

    # Packets

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop. Kept because `get_running_loop` makes a system call on Python 3.11."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    def charge(self, client: Client, packets: int, size: int) -> float:
        """Charge a client for what it sent; return for how many seconds not to read from it.

        A client that sends too many packets is closed. Until it has joined a namespace, each packet
        counts as several.
        """
        client.uncharged += packets
        if client.uncharged < CHARGE_EVERY and size < _WORTH_CHARGING:
            return 0.0
        spent, client.uncharged = client.uncharged, 0
        if client.throttle is None:
            client.throttle = Throttle(self.limits, self.loop.time())
        try:
            spent *= 1 if client.joined else UNJOINED
            return client.throttle.charge(self.limits, self.loop.time(), spent, size)
        except FloodError:
            self.note("floods", "too many packets")
            self.close(client, TRANSPORT_ERROR, frames.POLICY, "too many packets")
            return 0.0

    def packet(self, client: Client, packet: str | bytes) -> None:
        """Handle a client's packet; an invalid one ends the session."""
        if isinstance(packet, bytes):
            self.message(client, packet)
        elif packet[:1] == MESSAGE:
            self.message(client, packet[1:])
        elif packet == PONG:
            # Only the answer to a ping: otherwise a client could keep postponing its next ping.
            if self._pongs.drop(client):
                self.ponged(client)
                self._pings.set(client)
        elif packet == CLOSE:
            self.close(client, CLIENT_DISCONNECT)
        elif packet[:1] == BASE64:
            try:
                data = base64_packets.decode(packet)
            except ValueError as error:
                self.invalid_packet(client, str(error))
            else:
                self.message(client, data)
        elif packet not in (NOOP, UPGRADE):
            self.invalid_packet(client, "not an Engine.IO packet")

    def evict(self, client: Client) -> None:
        """Close a client with incomplete input, because the host holds too much of it."""
        self.note("partial input", "the host held too much of it")
        client.partial = None
        self.close(client, TRANSPORT_ERROR, frames.POLICY, "incomplete message")

    def message(self, client: Client, data: str | bytes) -> None:
        """Pass a message to the Socket.IO server; an invalid one ends the session."""
        if client.closing:
            return
        try:
            self.listener.received(client, data)
        except PacketError as error:
            self.invalid_packet(client, str(error))

    def invalid_packet(self, client: Client, reason: str) -> None:
        """End the session of a client that sent an invalid packet."""
        self.note("invalid packets", reason)
        self.close(client, TRANSPORT_ERROR, frames.POLICY, "invalid packet")

    def invalid_frame(self, socket: Socket, error: FrameError) -> None:
        """Close a websocket whose client broke the protocol, and the session on it."""
        self.note("invalid frames", error.reason)
        self.batch.flush()  # nothing may follow a close frame
        client = socket.client
        socket.end(error.code, error.reason)
        if client is not None:
            self.close(client, TRANSPORT_ERROR)

    def overrun(self, client: Client, detail: str) -> None:
        """End the session of a client that is too slow to read what is sent to it."""
        self.note("slow clients", detail)
        for socket in (client.socket, client.probe):
            if socket is not None:
                socket.abort()
        client.queue, client.queued = [], 0
        self.close(client, TRANSPORT_ERROR)

    def note(self, cause: str, detail: str) -> None:
        """Count a client that was closed or refused, and log the first of each cause."""
        self.counts[cause] += 1
        if self.counts[cause] == 1:
            logger.warning(
                "Closed or refused a client: %s (%s). /health counts further ones.",
                cause,
                detail,
                extra={"cause": cause},
            )

    # Heartbeat

    def _ping(self, client: Client) -> None:
        if self.listener.expired(client):
            self.counts["expired sessions"] += 1
            self.close(client, SERVER_DISCONNECT)
            return
        self._pongs.set(client, self._pings.due)
        if client.throttle is not None and client.throttle.is_full(self.limits, self.loop.time()):
            client.throttle = None
        if self.batch.pending:
            self.batch.flush()  # first, so that the pong confirms it
        self.pinging(client)
        if client.socket is not None:
            client.push(_PING.frames)
        else:
            client.send(_PING)

    def _timed_out(self, client: Client) -> None:
        self.close(client, PING_TIMEOUT)

    def left(self, client: Client) -> None:
        """Note that a client has left its last namespace, and must join one again in time."""
        if not client.closing:
            self.slots.leave(client)

    def joined(self, client: Client) -> None:
        """Note that a client is connected in a namespace."""
        client.joined = True
        self.slots.join(client)

    def _join_timed_out(self, client: Client) -> None:
        self.counts["never joined"] += 1
        self.close(client, SERVER_DISCONNECT)

    # The end

    def lost(self, socket: Socket) -> None:
        """Handle the loss of a websocket: its session ends."""
        self.endings.drop(socket)
        self.upgrades.cancel(socket)
        if socket.client is not None:
            self.close(socket.client, TRANSPORT_CLOSE)

    def close(
        self, client: Client, reason: str, code: int = frames.NORMAL, text: str = ""
    ) -> asyncio.Task[None] | None:
        """End a session, after sending everything that is pending.

        Returns the task that runs the disconnect handlers, or None if the session has ended
        already.
        """
        if self.batch.pending:
            self.batch.flush()  # which may close a slow client
        if client.closing:
            return None
        self._forget(client)
        if client.write is not None:
            client.write = None
            client.refresh()
        if client.probe is not None:
            client.probe.end()
        if client.socket is not None:
            client.socket.end(code, text)
        else:
            client.send(Message.of(NOOP if reason == CLIENT_DISCONNECT else CLOSE))
        if client.ending is not None:  # sending the CLOSE packet has closed a slow client
            return None
        client.closing = True
        client.ending = self.run(self._closing(client, reason))
        return client.ending

    def _forget(self, client: Client) -> None:
        self._pings.drop(client)
        self._pongs.drop(client)
        self.slots.end_wait(client)
        self.backlogs.forget(client)
        self.slow_readers.forget(client)

    async def _closing(self, client: Client, reason: str) -> None:
        try:
            await self.listener.closed(client, reason)
        finally:
            client.closed = True
            for holder in (client, (client, "attachments")):
                self.input.release(holder)
            self.slow_readers.forget(client)  # the CLOSE packet may have added it again
            self.clients.pop(client.sid, None)
            self.slots.close(client)
            # Break all reference cycles, so that the garbage collector has nothing to do.
            client.members.clear()
            client.socket = client.probe = client.ending = client.poll_transport = None

    async def stop(self) -> None:
        """Close all sessions; wait for their handlers, and a little for clients to hang up."""
        for client in list(self.clients.values()):
            self.close(client, SERVER_DISCONNECT)
        await self._tasks.finish(_HANDLER_SECONDS)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _HANG_UP_SECONDS
        while self.endings and loop.time() < deadline:  # noqa: ASYNC110 - rare
            await asyncio.sleep(0.01)
        for timeouts in (self._pings, self._pongs):
            timeouts.clear()
        self.upgrades.stop()
        self.backlogs.clear()
        self.slow_readers.clear()
        self.slots.stop()
        for socket in self.endings.clear():
            socket.abort()
        await asyncio.sleep(0)  # lets the event loop close what was aborted
