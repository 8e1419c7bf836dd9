"""The stock transport: python-socketio on aiohttp as they come.

All that depends on which transport serves is here: making the server, asking `check` about every
request, counting and closing connections, and what stands between the listening socket and
aiohttp. Another transport offers the same.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import parse_qs

import socketio  # type: ignore[import-untyped]  # python-socketio ships no types
from aiohttp import web
from engineio.payload import Payload  # type: ignore[import-untyped]  # python-engineio neither

from socket_host.address import Addresses
from socket_host.admission import Check
from socket_host.bus import Bus
from socket_host.settings import Settings
from socket_host.transport.connections import Connections
from socket_host.transport.engine import Limits
from socket_host.transport.http import FEW, HttpServer
from socket_host.transport.request import session_id
from socket_host.transport.slots import Slots

# A client that is back from a break sends what it saved up in one POST. The default of 16 packets
# loses that whole request, unsaid; MAX_PAYLOAD limits its bytes anyway.
_MAX_PACKETS = 2_000

_MAX_ATTACHMENTS = 10  # of one event; each is a packet, and all are kept until the last is there


# How long a client may take from its handshake to being connected in a namespace before it is let
# go. python-engineio would keep it for as long as it answers pings.
_CONNECT_SECONDS = Limits.join_time


class _Sparing(logging.Filter):
    """Lets ten records a minute pass: clients can cause them at will."""

    def __init__(self) -> None:
        super().__init__()
        self._passed: deque[float] = deque(maxlen=10)

    def filter(self, record: logging.LogRecord) -> bool:
        if len(self._passed) == 10 and record.created - self._passed[0] < 60:
            return False
        self._passed.append(record.created)
        return True


_log = logging.getLogger(__name__)
_log.setLevel(logging.ERROR)  # below that python-socketio logs all that clients say
_log.addFilter(_Sparing())


class Stock:
    """python-socketio's AsyncServer, served by aiohttp, which routes `path` to it.

    `check` is asked about every request, with its Origin, its client's address, and whether it
    would open a session.
    """

    rooms = socketio.AsyncManager  # what a bus is mixed with to keep the rooms

    def __init__(
        self,
        settings: Settings,
        path: str,
        check: Check,
        addresses: Addresses,
        bus: Bus,
    ) -> None:
        Payload.max_decode_packets = _MAX_PACKETS
        self._limits = Limits(payload=settings.max_payload)
        self.slots: Slots[str] = Slots(_CONNECT_SECONDS, self._late, self._address)
        self._counts: Counter[str] = Counter()
        self._closing: set[asyncio.Task[None]] = set()
        self.sio = _Server(
            check,
            addresses,
            self.slots,
            client_manager=bus,
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

    async def start(self) -> None:
        """Begin: there is nothing to prepare."""

    async def stop(self) -> None:
        """End what the first connection began."""
        await self.sio.shutdown()
        self.slots.stop()

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

    def _note(self, cause: str, detail: str) -> None:
        self._counts[cause] += 1

    def _most_body(self, target: str) -> int:
        """Return how many bytes a POST may have, as it comes over the wire."""
        # In chunks it may take twice as much as what is in them.
        return 2 * self._limits.payload + FEW if self.sio.has_joined(session_id(target)) else FEW


def _is_checked(origin: str, environ: Any) -> bool:
    return True


class _Server(socketio.AsyncServer):  # type: ignore[misc]  # python-socketio ships no types
    """A server that asks before it takes a request, and counts its sessions."""

    def __init__(
        self, check: Check, addresses: Addresses, slots: Slots[str], **options: Any
    ) -> None:
        super().__init__(**options)
        self._check = check
        self._addresses = addresses
        self._slots = slots
        self.sessions: dict[str, bytes] = {}  # those that are open, each with its client's address

    def recovered(self, sid: str, namespace: str) -> bool:
        """Tell that python-socketio does not let a client go on where it was."""
        return False

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """Answer a request for the socket path."""
        opens = "sid" not in parse_qs(request.query_string)  # as python-engineio reads it
        rejection = self._check(request.headers.get("Origin"), opens, self._address(request))
        if rejection:
            return web.Response(status=rejection.status, text=rejection.text)
        response: web.StreamResponse = await super().handle_request(request)
        return response

    def _address(self, request: web.Request) -> bytes:
        # Not `request.remote`: that may be overridden by what a client says of itself.
        peer = request.transport and request.transport.get_extra_info("peername")
        return self._addresses.of(peer, ",".join(request.headers.getall("X-Forwarded-For", [])))

    # What python-socketio is told of sessions and namespaces, we are told too.

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> Any:
        self.sessions[eio_sid] = self._address(environ["aiohttp.request"])
        self._slots.open(eio_sid)
        return await super()._handle_eio_connect(eio_sid, environ)

    async def _handle_connect(self, eio_sid: str, namespace: str, data: Any) -> None:
        await super()._handle_connect(eio_sid, namespace, data)
        if self.has_joined(eio_sid):
            self._slots.join(eio_sid)

    async def _handle_disconnect(self, eio_sid: str, namespace: str, reason: Any = None) -> None:
        await super()._handle_disconnect(eio_sid, namespace, reason)
        if eio_sid in self.sessions and not self.has_joined(eio_sid):
            self._slots.leave(eio_sid)

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        if eio_sid in self.sessions:
            self._slots.close(eio_sid)
            del self.sessions[eio_sid]
        await super()._handle_eio_disconnect(eio_sid, reason)

    def has_joined(self, eio_sid: str) -> bool:
        """Tell if a session is open, and connected in a namespace."""
        manager = self.manager
        return eio_sid in self.sessions and any(
            manager.is_connected(sid, namespace)
            for namespace in manager.get_namespaces()
            if (sid := manager.sid_from_eio_sid(eio_sid, namespace))
        )


class _Packet(socketio.packet.Packet):  # type: ignore[misc]  # python-socketio ships no types
    """A Socket.IO packet with a bounded number of attachments."""

    def decode(self, encoded_packet: str) -> int:
        """Read a packet; raise ValueError if it announces too many attachments."""
        attachments: int = super().decode(encoded_packet)
        if attachments > _MAX_ATTACHMENTS:
            raise ValueError("too many attachments")
        return attachments
