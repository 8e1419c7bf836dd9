"""Engine.IO, version 4: sessions, heartbeat, upgrades, and when a client is let go."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from operator import methodcaller
from typing import Any, cast

from socket_host.transport.connections import Connections
from socket_host.transport.limits import UNJOINED, Limits
from socket_host.transport.native import base64_packets, frames
from socket_host.transport.native.backlogs import Backlogs
from socket_host.transport.native.base64_packets import Base64Transport
from socket_host.transport.native.client import SLICE, Client, Listener, Socket
from socket_host.transport.native.environ import Environ
from socket_host.transport.native.frames import FrameError
from socket_host.transport.native.head import Head
from socket_host.transport.native.input_budget import InputBudget
from socket_host.transport.native.message import Message
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
from socket_host.transport.native.tasks import Tasks
from socket_host.transport.native.write_batch import WriteBatch
from socket_host.transport.slots import Slots
from socket_host.transport.throttle import FloodError, Throttle
from socket_host.transport.timeout_queue import TimeoutQueue

logger = logging.getLogger(__name__)

# Packet types are single digits on the wire.
OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = "0", "1", "2", "3", "4", "5", "6"
BASE64 = "b"  # a binary message as text
_PING = Message.of(PING)
_PROBE, _PROBED = PING + "probe", frames.packet_frame(PONG + "probe")

_WORTH_CHARGING = 1_024  # bytes that came at once; fewer are covered by the limit on packets

_LONGEST_END = 20.0  # seconds that handlers of clients that leave may take when the host stops
_GOODBYE = 1.0  # seconds a stopping host gives clients to hang up


def _address(client: Client) -> bytes:
    return client.environ.address


def _do_nothing(client: Client) -> None:
    """Be told of a client by an engine that nobody listens to."""


class Engine:
    """All sessions of this host. `counts` says how often clients were let go, by cause."""

    def __init__(self, listener: Listener, limits: Limits, new_id: Callable[[], str]) -> None:
        self.listener = listener
        self.limits = limits
        self.new_id = new_id
        self.polls = self.upgrades = self.websockets = True
        self.compresses_from = 1_024  # bytes of an answer to a poll: below, gzip costs more
        self.clients: dict[str, Client] = {}
        self.batch = WriteBatch()
        self.input = InputBudget(limits.partial)
        self.backlogs: Backlogs[Client] = Backlogs(limits, self.overrun)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.counts: Counter[str] = Counter()
        self.endings: TimeoutQueue[Socket] = TimeoutQueue(limits.ending_time, methodcaller("abort"))
        # Called right before a ping is sent, and when it is answered.
        self.pinging: Callable[[Client], object] = _do_nothing
        self.ponged: Callable[[Client], object] = _do_nothing
        self._pings: TimeoutQueue[Client] = TimeoutQueue(limits.ping_interval, self._ping)
        self._pongs: TimeoutQueue[Client] = TimeoutQueue(limits.ping_timeout, self._timed_out)
        self._probes: TimeoutQueue[Socket] = TimeoutQueue(limits.probe_time, methodcaller("end"))
        self.slots: Slots[Client] = Slots(limits.join_time, self._joined_nothing, _address)
        self.connections = Connections()
        self._tasks = Tasks()
        self.run = self._tasks.run
        # What every client is told at its handshake.
        self._terms = (
            f'"pingInterval":{round((limits.ping_interval + limits.ping_grace) * 1000)},'
            f'"pingTimeout":{round(limits.ping_timeout * 1000)},"maxPayload":{limits.payload}'
        )

    # Handshakes

    def admit(self, environ: Environ, head: Head) -> Client | None:
        """Return the client a request belongs to, or None if it opens a session.

        Raises Refusal, with the reasons and numbers that Engine.IO defines.
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
            self._probe(socket, client)
            return
        client = self._open(environ)
        socket.carry(client)
        write(response + frames.packet_frame(self._open_packet(client, "[]")))

    def open_polling(self, environ: Environ) -> Client:
        """Begin a session by polling; its first packet is in the queue."""
        client = self._open(environ)
        upgrades = '["websocket"]' if self.upgrades and self.websockets else "[]"
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
        return f'{OPEN}{{"sid":"{client.sid}","upgrades":{upgrades},{self._terms}}}'

    # Packets

    def soon(self, call: Callable[..., object], *values: Any) -> None:
        """Call something in the next turn of the event loop."""
        self.loop.call_soon(call, *values)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop, kept: asking for it is a system call on Python 3.11."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    def charge(self, client: Client, packets: int, size: int) -> float:
        """Charge a client for what it sent; return the seconds for which it is not to be read.

        Whoever sends too many packets is closed. Before it has joined a namespace, each counts
        tenfold.
        """
        client.spent += packets
        if client.spent < SLICE and size < _WORTH_CHARGING:
            return 0.0
        spent, client.spent = client.spent, 0
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
        """Take one packet of a client; a wrong one ends its session."""
        if isinstance(packet, bytes):
            self.message(client, packet)
        elif packet[:1] == MESSAGE:
            self.message(client, packet[1:])
        elif packet == PONG:
            # Only one that was asked for: else a client could put off its next ping for ever.
            if self._pongs.drop(client):
                self.ponged(client)
                self._pings.set(client)
        elif packet == CLOSE:
            self.close(client, CLIENT_DISCONNECT)
        elif packet[:1] == BASE64:
            try:
                data = base64_packets.decode(packet)
            except ValueError as error:
                self.wrong(client, str(error))
            else:
                self.message(client, data)
        elif packet not in (NOOP, UPGRADE):
            self.wrong(client, "not an Engine.IO packet")

    def evict(self, client: Client) -> None:
        """Close a client whose input stays incomplete while others need the room."""
        self.note("partial input", "the host held too much of it")
        client.partial = None
        self.close(client, TRANSPORT_ERROR, frames.POLICY, "incomplete message")

    def message(self, client: Client, data: str | bytes) -> None:
        """Hand a message to the layer above; one that is wrong ends the session."""
        if client.closing:
            return
        try:
            self.listener.received(client, data)
        except PacketError as error:
            self.wrong(client, str(error))

    def wrong(self, client: Client, reason: str) -> None:
        """End the session of a client that sent an invalid packet."""
        self.note("invalid packets", reason)
        self.close(client, TRANSPORT_ERROR, frames.POLICY, "invalid packet")

    def broken(self, socket: Socket, error: FrameError) -> None:
        """End a websocket that does not follow its protocol, and the session on it."""
        self.note("invalid frames", error.reason)
        self.batch.flush()  # nothing may follow a close frame
        client = socket.client
        socket.end(error.code, error.reason)
        if client is not None:
            self.close(client, TRANSPORT_ERROR)

    def overrun(self, client: Client, detail: str) -> None:
        """End the session of a client that does not read what is sent to it."""
        self.note("slow clients", detail)
        for socket in (client.socket, client.probe):
            if socket is not None:
                socket.abort()
        client.queue, client.queued = [], 0
        self.close(client, TRANSPORT_ERROR)

    def note(self, cause: str, detail: str) -> None:
        """Count a client that was let go; the first of each cause is logged."""
        self.counts[cause] += 1
        if self.counts[cause] == 1:
            logger.warning(
                "closed a client: %s (%s); from now on only counted",
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
            self.batch.flush()  # a pong is to prove that all of it has arrived
        self.pinging(client)
        if client.socket is not None:
            client.push(_PING.frames)
        else:
            client.send(_PING)

    def _timed_out(self, client: Client) -> None:
        self.close(client, PING_TIMEOUT)

    def left(self, client: Client) -> None:
        """The client is in no namespace any more: it has to join one, or is let go."""
        if not client.closing:
            self.slots.leave(client)

    def joined(self, client: Client) -> None:
        """The client is connected in a namespace."""
        client.joined = True
        self.slots.join(client)

    def _joined_nothing(self, client: Client) -> None:
        self.counts["never joined"] += 1
        self.close(client, SERVER_DISCONNECT)

    # Upgrade from polling

    def _probe(self, socket: Socket, client: Client) -> None:
        if client.upgraded or client.probe is not None or not self.upgrades:
            socket.end()
            return
        socket.prober, client.probe = client, socket
        self._probes.set(socket)

    def probed(self, socket: Socket, client: Client, packet: str | bytes) -> None:
        """Take a packet on a websocket that is on its way to replace polling."""
        if packet == _PROBE:
            socket.press(_PROBED)
            client.probed = True
            client.wake()  # the client waits for its last GET before it goes on
        elif packet == UPGRADE:  # also without a probe, as some clients do
            self._upgrade(socket, client)
        else:
            socket.end(frames.POLICY, "invalid packet")
            self.lost(socket)

    def _upgrade(self, socket: Socket, client: Client) -> None:
        self._probes.drop(socket)
        socket.prober, client.probe = None, None
        socket.carry(client)
        client.refresh()
        client.wake()
        if queue := client.take_queue():
            client.push(b"".join(message.frames for message in queue))

    # The end

    def lost(self, socket: Socket) -> None:
        """A websocket is gone, and the session it carried with it."""
        self.endings.drop(socket)
        self._probes.drop(socket)
        if socket.prober is not None:
            socket.prober.probe, socket.prober.probed = None, False
            socket.prober = None
        if socket.client is not None:
            self.close(socket.client, TRANSPORT_CLOSE)

    def close(
        self, client: Client, reason: str, code: int = frames.NORMAL, text: str = ""
    ) -> asyncio.Task[None] | None:
        """End a session; what was sent before is delivered if the client still listens.

        Returns the task that tells the layer above, or None if that has begun already.
        """
        if self.batch.pending:
            self.batch.flush()  # which closes a client for which it is too much
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
        if client.ending is not None:  # even that was too much for it: it has been closed
            return None
        client.closing = True
        client.ending = self.run(self._closing(client, reason))
        return client.ending

    def _forget(self, client: Client) -> None:
        self._pings.drop(client)
        self._pongs.drop(client)
        self.slots.end_wait(client)
        self.backlogs.forget(client)

    async def _closing(self, client: Client, reason: str) -> None:
        try:
            await self.listener.closed(client, reason)
        finally:
            client.closed = True
            self.input.release((client, "attachments"))
            self.clients.pop(client.sid, None)
            self.slots.close(client)
            # Whatever still holds one of these must not hold the other: collecting cycles by
            # the thousand is what makes a busy Python server stutter.
            client.members.clear()
            client.socket = client.probe = client.ending = client.fetched = None

    async def stop(self) -> None:
        """Close all sessions, wait for what is to be done at their end, and a little for them."""
        for client in list(self.clients.values()):
            self.close(client, SERVER_DISCONNECT)
        await self._tasks.finish(_LONGEST_END)
        loop = asyncio.get_running_loop()
        goodbye = loop.time() + _GOODBYE
        while self.endings and loop.time() < goodbye:  # noqa: ASYNC110 - rare
            await asyncio.sleep(0.01)
        for timeouts in (self._pings, self._pongs, self._probes):
            timeouts.clear()
        self.backlogs.clear()
        self.slots.stop()
        for socket in self.endings.clear():
            socket.abort()
        await asyncio.sleep(0)  # the event loop closes what was aborted
