"""The stock transport: python-socketio on aiohttp as they come.

All that depends on which transport serves is here: making the server, asking `check` about every
request, counting and closing connections, and what stands between the listening socket and
aiohttp. Another transport offers the same.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, NoReturn
from urllib.parse import parse_qs

import socketio  # type: ignore[import-untyped]  # python-socketio ships no types
from aiohttp import WSMsgType, web
from engineio.async_drivers import aiohttp as aiohttp_driver  # type: ignore[import-untyped]
from engineio.exceptions import SocketIsClosedError  # type: ignore[import-untyped]  # as above
from engineio.payload import Payload  # type: ignore[import-untyped]  # python-engineio neither

from socket_host.address import Addresses
from socket_host.admission import Check
from socket_host.bad_requests import BadRequests
from socket_host.bus import Bus
from socket_host.log_limit import LIMIT
from socket_host.settings import Settings
from socket_host.transport.bus_manager import BusManager
from socket_host.transport.connections import Connections
from socket_host.transport.engine import UNJOINED
from socket_host.transport.hooks import Hooks
from socket_host.transport.http import FEW, HttpServer
from socket_host.transport.limits import Limits, limits_of
from socket_host.transport.request import session_id
from socket_host.transport.slots import Slots
from socket_host.transport.throttle import FloodError, Throttle

# A client that is back from a break sends what it saved up in one POST. The default of 16 packets
# loses that whole request, unsaid; MAX_PAYLOAD limits its bytes anyway.
_MAX_PACKETS = 2_000

_MAX_ATTACHMENTS = 10  # of one event; each is a packet, and all are kept until the last is there


# What may wait for a client before its next event is read, and how often that is looked at.
_UNREAD = 64 * 1024  # bytes
_UNREAD_PAUSE = 0.1  # seconds

# How long a client may take from its handshake to being connected in a namespace before it is let
# go. python-engineio would keep it for as long as it answers pings.
_CONNECT_SECONDS = Limits.join_time


_MAX_ANSWER = 256 * 1024  # bytes

# Bytes: what it costs to send an event to one client, however small it is. It is several times
# what it costs the fast transport.
_DELIVERY = 1_500

_log = logging.getLogger(__name__)
_log.setLevel(logging.ERROR)  # below that python-socketio logs all that clients say
_log.addFilter(LIMIT)


class _Rooms(socketio.AsyncManager):  # type: ignore[misc]  # python-socketio ships no types
    """Rooms whose events are charged to who caused them."""

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
        """Send an event, and count what that costs."""
        handler = self.server.namespace_handlers.get(namespace)
        if isinstance(handler, Hooks):
            reached = self._count(namespace, to or room)
            handler.count_sent(to or room, reached, len(str(data)) + _DELIVERY, 0.0)
        await super().emit(event, data, namespace, room, skip_sid, callback, to, **kwargs)

    def _count(self, namespace: str, room: Any) -> int:
        """Return how many are in a room, or in several."""
        names = room if isinstance(room, (list, tuple)) else [room]
        rooms = self.rooms.get(namespace, {})
        return sum(len(rooms.get(name, ())) for name in names)


class StockManager(BusManager, _Rooms):
    """python-socketio's rooms, and the bus of the host."""

    crowded = True  # its `emit` always waits
    emit_here = _Rooms.emit

    def emit_now(self, *_: Any) -> None:
        """Do nothing: whoever is always crowded is not asked."""

    def flush(self) -> None:
        """Do nothing: what was emitted is written already."""


class Stock:
    """python-socketio's AsyncServer, served by aiohttp, which routes `path` to it.

    `check` is asked about every request, with its Origin, its client's address, and whether it
    would open a session.
    """

    def __init__(
        self,
        settings: Settings,
        path: str,
        check: Check,
        addresses: Addresses,
        bus: Bus,
    ) -> None:
        Payload.max_decode_packets = _MAX_PACKETS
        self._limits = limits_of(settings)
        self.slots: Slots[str] = Slots(_CONNECT_SECONDS, self._late, self._address)
        self._counts: Counter[str] = Counter()
        self._bad_requests = BadRequests(self._note)
        self._closing: set[asyncio.Task[None]] = set()
        self.sio = _Server(
            check,
            addresses,
            self.slots,
            self._limits,
            self._note,
            client_manager=StockManager(bus),
            async_mode="aiohttp",
            serializer=_Packet,
            logger=_log,
            engineio_logger=_log,
            ping_interval=settings.ping_interval,
            ping_timeout=settings.ping_timeout,
            max_http_buffer_size=settings.max_payload,
            # `check` has decided, but browsers have to be told. [] is not "none": it tells nothing.
            cors_allowed_origins=[] if settings.origins is None else _is_checked,
        )
        self._ping_interval = settings.ping_interval
        self._sweep: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch over the connections."""
        self._bad_requests.start()
        self._sweep = asyncio.create_task(self._close_expired())

    async def stop(self) -> None:
        """End what `start` and the first connection began."""
        if self._sweep:
            self._sweep.cancel()
        await self.sio.shutdown()
        self.slots.stop()
        self._bad_requests.stop()

    def protocols(
        self, server: web.Server, connections: Connections
    ) -> Callable[[], asyncio.BaseProtocol]:
        """Return what makes the protocol of each TCP connection, given aiohttp's server."""
        return HttpServer(server, connections, self._limits, self._note, self._most_body)

    def connections(self) -> Collection[str]:
        """Return the Engine.IO ids of all who are connected."""
        connections: Collection[str] = self.sio.environ.keys()
        return connections

    def closed(self) -> Mapping[str, int]:
        """Return how many were let go, by cause, as far as this transport knows."""
        return self._counts

    def _note(self, cause: str, detail: str) -> None:
        self._counts[cause] += 1
        if self._counts[cause] == 1:
            _log.error(
                "A client sent %s (%s); from now on they are only counted.",
                cause,
                detail,
                extra={"cause": cause},
            )

    async def close(self, connection: str) -> None:
        """Close a connection under its client, which then connects again by itself.

        Not by a Socket.IO DISCONNECT: that tells a client to stay away.
        """
        socket = self.sio.eio.sockets.get(connection)
        if socket is None:
            return
        if not socket.upgraded:
            await socket.close(wait=False)  # puts a CLOSE packet into the answer to its poll
        socket.queue.put_nowait(None)  # ends the writer of a websocket, which closes that

    def _late(self, connection: str) -> None:
        """Let a client go that has joined nothing."""
        self._counts["never joined"] += 1
        task = asyncio.get_running_loop().create_task(self.close(connection))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _address(self, connection: str) -> bytes:
        address: bytes = self.sio.sessions[connection]
        return address

    def _most_body(self, target: str) -> int:
        """Return how many bytes a POST may have, as it comes over the wire."""
        # In chunks it may take twice as much as what is in them.
        return 2 * self._limits.payload + FEW if self.sio.has_joined(session_id(target)) else FEW

    async def _close_expired(self) -> None:
        """Close those who have outlived their session, as often as clients are pinged."""
        while True:
            await asyncio.sleep(self._ping_interval)
            for connection in [c for c in self.connections() if self._is_expired(c)]:
                await self.close(connection)

    def _is_expired(self, connection: str) -> bool:
        for name, handler in self.sio.namespace_handlers.items():
            sid = self.sio.manager.sid_from_eio_sid(connection, name)
            if sid and isinstance(handler, Hooks) and handler.expired(sid):
                return True
        return False


def _is_checked(origin: str, environ: Any) -> bool:
    return True


class _Server(socketio.AsyncServer):  # type: ignore[misc]  # python-socketio ships no types
    """A server that asks before it takes a request, and limits what a client may send."""

    def __init__(
        self,
        check: Check,
        addresses: Addresses,
        slots: Slots[str],
        limits: Limits,
        note: Callable[[str, str], object],
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._check = check
        self._addresses = addresses
        self._slots = slots
        self._limits = limits
        self._note = note
        self._had_too_large = False
        self.sessions: dict[str, bytes] = {}  # those that are open, each with its client's address
        self._throttles: dict[str, Throttle] = {}  # by Engine.IO sid
        self._joined: set[str] = set()  # Engine.IO sids that have been in a namespace
        self._room: dict[str, int] = {}  # bytes that attachments may still have
        self.websockets: dict[str, _WebSocket] = {}
        self.eio._async = {**self.eio._async, "websocket": partial(_WebSocket, self)}

    def recovered(self, sid: str, namespace: str) -> bool:
        """Tell that python-socketio does not let a client go on where it was."""
        return False

    async def caught_up(self, sid: str, namespace: str) -> bool:
        """Wait until a client has read most of what it was sent; tell if it is still there."""
        eio_sid = self.manager.eio_sid_from_sid(sid, namespace)
        while self._behind(eio_sid):  # noqa: ASYNC110 - nothing tells when its queue is read
            await asyncio.sleep(_UNREAD_PAUSE)
        here: bool = self.manager.is_connected(sid, namespace)
        return here

    def _behind(self, eio_sid: str) -> bool:
        """Tell if a client, which is still there, has yet to read much of what was sent to it."""
        socket = self.eio.sockets.get(eio_sid)
        if socket is None or socket.closing or socket.closed:
            return False
        waiting = list(socket.queue._queue)
        return sum(len(packet.data) for packet in waiting if packet and packet.data) > _UNREAD

    async def _handle_event(
        self,
        eio_sid: str,
        namespace: str | None,
        id: int | None,  # noqa: A002 - theirs
        data: list[Any],
    ) -> None:
        """Take an event, unless it is refused; nothing else of this client is read meanwhile."""
        while self._behind(eio_sid):  # noqa: ASYNC110 - as above
            await asyncio.sleep(_UNREAD_PAUSE)
        namespace = namespace or "/"
        handler = self.namespace_handlers.get(namespace)
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        if self.manager.is_connected(sid, namespace) and isinstance(handler, Hooks):
            refusal = handler.begin_event(sid)
            if refusal is not None:
                if id is not None:
                    await self._send_packet(eio_sid, _ack(namespace, id, refusal))
                return
        await super()._handle_event(eio_sid, namespace, id, data)

    async def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        if pkt.packet_type == socketio.packet.ACK:
            size = len(str(pkt.data))
            handler = self.namespace_handlers.get(pkt.namespace or "/")
            if size > _MAX_ANSWER:
                self._note_too_large(size)
                refusal = {"error": "The answer is too large to be sent."}
                pkt = _ack(pkt.namespace, pkt.id, refusal)
            if isinstance(handler, Hooks):
                handler.count_answer(size)
        await super()._send_packet(eio_sid, pkt)

    def _note_too_large(self, size: int) -> None:
        """Log the first answer that is too large: clients can ask for more at will."""
        if not self._had_too_large:
            self._had_too_large = True
            _log.error(
                "An answer had some %d bytes and was not sent. Answer in parts of at most %d "
                "bytes. Others like it will not be logged.",
                size,
                _MAX_ANSWER,
            )

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """Answer a request for the socket path."""
        query = parse_qs(request.query_string)  # as python-engineio reads it
        opens = "sid" not in query
        rejection = self._check(request.headers.get("Origin"), opens, self._address(request))
        if rejection:
            return web.Response(status=rejection.status, text=rejection.text)
        sid = query.get("sid", [""])[0]
        if request.method == "POST" and (request.content_length or 0) > self._most(sid):
            self._note("invalid requests", "a POST too large")
            await self.eio.disconnect(sid)
            return web.Response(status=413, text="Payload too large\n")
        try:
            response: web.StreamResponse = await super().handle_request(request)
        except ValueError:  # python-engineio lets it through
            self._note("invalid packets", "not an Engine.IO packet")
            return web.Response(status=400, text="That is not an Engine.IO packet.\n")
        return response

    def _address(self, request: web.Request) -> bytes:
        # Not `request.remote`: that may be overridden by what a client says of itself.
        peer = request.transport and request.transport.get_extra_info("peername")
        return self._addresses.of(peer, ",".join(request.headers.getall("X-Forwarded-For", [])))

    async def charge(self, connection: str, packets: int, size: int) -> None:
        """Charge a client for what it sent, and wait if it sent too many bytes.

        Raises SocketIsClosedError, which ends its connection, if it sent too many packets.
        """
        now = asyncio.get_running_loop().time()
        throttle = self._throttles.get(connection)
        if throttle is None:
            throttle = self._throttles[connection] = Throttle(self._limits, now)
        packets *= 1 if connection in self._joined else UNJOINED
        try:
            await asyncio.sleep(throttle.charge(self._limits, now, packets, size))
        except FloodError:
            self._note("floods", "too many packets")
            self._hang_up(connection)

    async def _handle_eio_message(self, eio_sid: str, data: str | bytes) -> None:
        if len(data) > self._most(eio_sid) or not self._is_expected(eio_sid, data):
            self._note("invalid packets", "too long, or not a CONNECT")
            self._hang_up(eio_sid)
        socket = self.eio.sockets.get(eio_sid)
        if socket is not None and not socket.upgraded:  # else it has been charged for the frame
            await self.charge(eio_sid, 1, len(data))
        self._measure(eio_sid, data)
        await super()._handle_eio_message(eio_sid, data)

    # What python-socketio is told of sessions and namespaces, we are told too.

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> Any:
        self.sessions[eio_sid] = self._address(environ["aiohttp.request"])
        self._slots.open(eio_sid)
        return await super()._handle_eio_connect(eio_sid, environ)

    async def _handle_connect(self, eio_sid: str, namespace: str, data: Any) -> None:
        await super()._handle_connect(eio_sid, namespace, data)
        if self.has_joined(eio_sid):
            self._joined.add(eio_sid)
            self._slots.join(eio_sid)

    async def _handle_disconnect(self, eio_sid: str, namespace: str, reason: Any = None) -> None:
        await super()._handle_disconnect(eio_sid, namespace, reason)
        if eio_sid in self.sessions and not self.has_joined(eio_sid):
            self._slots.leave(eio_sid)

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        if eio_sid in self.sessions:
            self._slots.close(eio_sid)
            del self.sessions[eio_sid]
        self._throttles.pop(eio_sid, None)
        self._room.pop(eio_sid, None)
        self._joined.discard(eio_sid)
        self._binary_packet.pop(eio_sid, None)
        await super()._handle_eio_disconnect(eio_sid, reason)

    def has_joined(self, eio_sid: str) -> bool:
        """Tell if a session is open, and connected in a namespace."""
        manager = self.manager
        return eio_sid in self.sessions and any(
            manager.is_connected(sid, namespace)
            for namespace in manager.get_namespaces()
            if (sid := manager.sid_from_eio_sid(eio_sid, namespace))
        )

    def _hang_up(self, connection: str) -> NoReturn:
        """End a connection without waiting for the client to say goodbye: it may go on sending."""
        if websocket := self.websockets.get(connection):
            websocket.abort()
        raise SocketIsClosedError

    def _most(self, connection: str) -> int:
        """Return the most bytes a message of this client may have."""
        return self._limits.payload if connection in self._joined else self._limits.connect

    def _is_expected(self, connection: str, data: str | bytes) -> bool:
        return connection in self._joined or data[:1] == "0"  # a CONNECT

    def _measure(self, connection: str, data: str | bytes) -> None:
        """Count a packet and its attachments together; raise SocketIsClosedError for too much."""
        if connection not in self._binary_packet:
            self._room[connection] = self._limits.payload
        self._room[connection] -= len(data)
        if self._room[connection] < 0:
            self._note("invalid packets", "attachments are too large together")
            self._hang_up(connection)


class _WebSocket(aiohttp_driver.WebSocket):  # type: ignore[misc]  # python-engineio ships no types
    """python-engineio's websocket, whose frames are charged to the client."""

    def __init__(self, sio: _Server, handler: Any, server: Any) -> None:
        super().__init__(handler, server)
        self._sio = sio
        self._connection: str = handler.__self__.sid

    async def __call__(self, environ: dict[str, Any]) -> web.WebSocketResponse:
        """Serve the connection until it ends."""
        self._sock = web.WebSocketResponse(
            max_msg_size=self.server.max_http_buffer_size, autoping=False
        )
        await self._sock.prepare(environ["aiohttp.request"])
        self.environ = environ
        self._sio.websockets[self._connection] = self
        try:
            await self.handler(self)
        finally:
            del self._sio.websockets[self._connection]
        return self._sock

    def abort(self) -> None:
        """Hang up at once."""
        transport = self.environ["aiohttp.request"].transport
        if transport is not None:
            transport.abort()

    async def wait(self) -> str | bytes:
        """Return the next message; raise OSError or SocketIsClosedError at the end."""
        while True:
            message = await self._sock.receive()
            if message.type not in _DATA:
                raise OSError
            await self._sio.charge(self._connection, 1, len(message.data))
            if message.type is WSMsgType.PING:
                await self._sock.pong(message.data)
            elif message.type is not WSMsgType.PONG:
                data: str | bytes = message.data
                return data


_DATA = (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG)


def _ack(namespace: str | None, id_: int, answer: Any) -> Any:
    return _Packet(socketio.packet.ACK, namespace=namespace, id=id_, data=[answer])


class _Packet(socketio.packet.Packet):  # type: ignore[misc]  # python-socketio ships no types
    """A Socket.IO packet with a bounded number of attachments."""

    def decode(self, encoded_packet: str) -> int:
        """Read a packet; raise ValueError if it announces too many attachments."""
        attachments: int = super().decode(encoded_packet)
        if attachments > _MAX_ATTACHMENTS:
            raise ValueError("too many attachments")
        return attachments
