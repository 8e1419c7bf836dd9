"""The stock transport: python-socketio on aiohttp as they come.

All that depends on which transport serves is here: making the server, asking `check` about every
request, counting and closing connections, and what stands between the listening socket and
aiohttp. Another transport offers the same.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import parse_qs

import socketio  # type: ignore[import-untyped]  # python-socketio ships no types
from aiohttp import web
from engineio.payload import Payload  # type: ignore[import-untyped]  # python-engineio neither

from socket_host.admission import Rejection
from socket_host.bus import Bus
from socket_host.settings import Settings

# A client that is back from a break sends what it saved up in one POST. The default of 16 packets
# loses that whole request, unsaid; MAX_PAYLOAD limits its bytes anyway.
_MAX_PACKETS = 2_000

_MAX_ATTACHMENTS = 10  # of one event; each is a packet, and all are kept until the last is there

# How long a client may take from its handshake to its CONNECT before it is let go. python-engineio
# would keep it for as long as it answers pings.
_CONNECT_SECONDS = 30.0


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


# What may wait for a client before its next event is read, and how often that is looked at.
_UNREAD = 64 * 1024  # bytes
_UNREAD_PAUSE = 0.1  # seconds

_MAX_ANSWER = 256 * 1024  # bytes

# Bytes: what it costs to send an event to one client, however small it is. It is several times
# what it costs the fast transport.
_DELIVERY = 1_500

_log = logging.getLogger(__name__)
_log.setLevel(logging.ERROR)  # below that python-socketio logs all that clients say
_log.addFilter(_Sparing())


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
        if hasattr(handler, "count_sent"):
            reached = self._count(namespace, to or room)
            handler.count_sent(to or room, reached, len(str(data)) + _DELIVERY, 0.0)
        await super().emit(event, data, namespace, room, skip_sid, callback, to, **kwargs)

    def _count(self, namespace: str, room: Any) -> int:
        """Return how many are in a room, or in several."""
        names = room if isinstance(room, (list, tuple)) else [room]
        rooms = self.rooms.get(namespace, {})
        return sum(len(rooms.get(name, ())) for name in names)


class Stock:
    """python-socketio's AsyncServer, served by aiohttp, which routes `path` to it.

    `check` is asked about every request, with its Origin and whether it would open a connection.
    """

    rooms = _Rooms  # what a bus is mixed with to keep the rooms

    def __init__(
        self,
        settings: Settings,
        path: str,
        check: Callable[[str | None, bool], Rejection | None],
        bus: Bus,
    ) -> None:
        Payload.max_decode_packets = _MAX_PACKETS
        self.sio = _Server(
            check,
            client_manager=bus,
            async_mode="aiohttp",
            serializer=_Packet,
            logger=_log,
            engineio_logger=_log,
            ping_interval=settings.ping_interval,
            ping_timeout=settings.ping_timeout,
            max_http_buffer_size=settings.max_payload,
            # [] is not "none" but "do not check": without origins every one may connect.
            cors_allowed_origins=list(settings.origins or []),
        )
        self._sweep: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch over the connections."""
        self._sweep = asyncio.create_task(self._close_silent())

    async def stop(self) -> None:
        """End what `start` and the first connection began."""
        if self._sweep:
            self._sweep.cancel()
        await self.sio.shutdown()

    def protocols(self, server: web.Server) -> Callable[[], asyncio.BaseProtocol]:
        """Return what makes the protocol of each TCP connection, given aiohttp's own."""
        return server

    def connections(self) -> Collection[str]:
        """Return the Engine.IO ids of all who are connected."""
        connections: Collection[str] = self.sio.environ.keys()
        return connections

    def closed(self) -> Mapping[str, int]:
        """Return how many were let go, by cause: this transport does not count them."""
        return {}

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

    async def _close_silent(self) -> None:
        before: set[str] = set()
        while True:
            await asyncio.sleep(_CONNECT_SECONDS)
            silent = {c for c in self.connections() if not self._is_in_namespace(c)}
            for connection in silent & before:
                await self.close(connection)
            before = silent

    def _is_in_namespace(self, connection: str) -> bool:
        manager = self.sio.manager
        return any(manager.sid_from_eio_sid(connection, n) for n in manager.get_namespaces())


class _Server(socketio.AsyncServer):  # type: ignore[misc]  # python-socketio ships no types
    """A server that asks before it takes a request."""

    def __init__(
        self, check: Callable[[str | None, bool], Rejection | None], **options: Any
    ) -> None:
        super().__init__(**options)
        self._check = check
        self._had_too_large = False

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
        if self.manager.is_connected(sid, namespace) and hasattr(handler, "begin_event"):
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
            if hasattr(handler, "count_answer"):
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
        opens = "sid" not in parse_qs(request.query_string)  # as python-engineio reads it
        rejection = self._check(request.headers.get("Origin"), opens)
        if rejection:
            return web.Response(status=rejection.status, text=rejection.text)
        response: web.StreamResponse = await super().handle_request(request)
        return response


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
