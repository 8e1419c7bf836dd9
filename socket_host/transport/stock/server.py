"""The server: python-socketio's, with a check of every request and limits on its clients."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn
from urllib.parse import parse_qs

import engineio  # type: ignore[import-untyped]  # as below
import socketio  # type: ignore[import-untyped]  # python-socketio ships no types
from aiohttp import web
from engineio.exceptions import SocketIsClosedError  # type: ignore[import-untyped]  # as above

from socket_host.address import Addresses
from socket_host.admission import Check
from socket_host.log_limit import LIMIT
from socket_host.transport.emitting import EmittingServer
from socket_host.transport.hooks import NOT_ACCEPTED, Hooks, check_registration
from socket_host.transport.limits import UNJOINED, UNREAD, Limits
from socket_host.transport.native.backlogs import Backlogs
from socket_host.transport.native.refusal import NO_JSONP
from socket_host.transport.native.slow_readers import SlowReaders
from socket_host.transport.slots import Slots
from socket_host.transport.stock.packet import ack, connect_error, measure
from socket_host.transport.stock.unread import Unread
from socket_host.transport.stock.websocket import WebSocket
from socket_host.transport.throttle import FloodError, Throttle

_UNREAD_PAUSE = 0.1  # seconds between two looks at how much waits

_EVENTS = tuple(str(kind) for kind in (socketio.packet.EVENT, socketio.packet.BINARY_EVENT))
_ACKS = (socketio.packet.ACK, socketio.packet.BINARY_ACK)

logger = logging.getLogger(__name__)
logger.setLevel(logging.ERROR)  # below that, python-socketio logs everything clients send
logger.addFilter(LIMIT)


class _EngineServer(engineio.AsyncServer):  # type: ignore[misc]  # python-engineio ships no types
    """python-engineio's server, which also answers the POST that ends its session."""

    async def disconnect(self, sid: str | None = None) -> None:
        """End a session, or all of them, without waiting for polling clients to read everything."""
        if sid is None:
            await super().disconnect()
        elif socket := self.sockets.get(sid):
            await socket.close(wait=False, reason=self.reason.SERVER_DISCONNECT)


class Server(EmittingServer):
    """python-socketio's server, with a check of every request and limits on its clients.

    `note` is called with the cause and the detail when a client is closed.
    """

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
        self._logged_too_large = False
        self.sessions: dict[str, bytes] = {}  # addresses of clients, by Engine.IO sid
        self._throttles: dict[str, Throttle] = {}  # by Engine.IO sid
        self._joined: set[str] = set()  # Engine.IO sids that have been in a namespace
        self._room: dict[str, int] = {}  # bytes that attachments may still have, by Engine.IO sid
        self.websockets: dict[str, WebSocket] = {}
        self.backlogs: Backlogs[Unread] = Backlogs(limits, self._give_up)
        self.slow_readers: SlowReaders[Unread] = SlowReaders(limits, self._give_up)
        self.eio.create_queue = partial(Unread, limits.backlog, self.backlogs, self.slow_readers)
        self.eio._async = {**self.eio._async, "websocket": partial(WebSocket, self)}

    def _engineio_server_class(self) -> type[_EngineServer]:
        return _EngineServer

    def register_namespace(self, namespace_handler: Any) -> None:
        """Register a namespace object; raise StartError if its namespace is taken."""
        check_registration(self.namespace_handlers, namespace_handler.namespace)
        super().register_namespace(namespace_handler)

    def on(self, event: str, handler: Any = None, namespace: str | None = None) -> Any:
        """Register an event handler; raise StartError if a namespace object handles its events."""
        check_registration(self.namespace_handlers, namespace)
        return super().on(event, handler, namespace)

    def recovered(self, sid: str, namespace: str) -> bool:
        """Return False: this transport has no connection state recovery."""
        return False

    async def caught_up(self, sid: str, namespace: str) -> bool:
        """Wait until a client has read most of its data; return whether it is still connected."""
        eio_sid = self.manager.eio_sid_from_sid(sid, namespace)
        while self._behind(eio_sid):  # noqa: ASYNC110 - its queue signals nothing
            await asyncio.sleep(_UNREAD_PAUSE)
        here: bool = self.manager.is_connected(sid, namespace)
        return here

    def _behind(self, eio_sid: str) -> bool:
        """Return whether an open session has much unread data."""
        socket = self.eio.sockets.get(eio_sid)
        if socket is None or socket.closing or socket.closed:
            return False
        return bool(socket.queue.waiting > UNREAD)

    async def _handle_event(
        self,
        eio_sid: str,
        namespace: str | None,
        id: int | None,  # noqa: A002 - theirs
        data: list[Any],
    ) -> None:
        """Handle an event unless it is refused."""
        namespace = namespace or "/"
        handler = self.namespace_handlers.get(namespace)
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        if self.manager.is_connected(sid, namespace) and isinstance(handler, Hooks):
            refusal = handler.begin_event(sid, data[0])
            if refusal is not None:
                if id is not None:
                    await self._send_packet(eio_sid, ack(namespace, id, refusal))
                return
        await super()._handle_event(eio_sid, namespace, id, data)

    async def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        if pkt.packet_type in _ACKS:
            pkt = self._checked(pkt)
        await super()._send_packet(eio_sid, pkt)

    def _checked(self, answer: Any) -> Any:
        """Count an answer; return it, or an error in its place if it cannot be sent."""
        try:
            size = measure(socketio.packet.ACK, answer.data)
        except ValueError as error:
            logger.error("An answer was not sent; the client got an error instead. %s", error)
            refusal = {"error": "The answer cannot be sent as JSON."}
            return ack(answer.namespace, answer.id, refusal)
        handler = self.namespace_handlers.get(answer.namespace or "/")
        if isinstance(handler, Hooks):
            handler.count_answer(size)
        if size <= self._limits.answer:
            return answer
        self._note_too_large(size)
        return ack(answer.namespace, answer.id, {"error": "The answer is too large to be sent."})

    def _note_too_large(self, size: int) -> None:
        """Log the first answer that is too large; clients can cause more at will."""
        if not self._logged_too_large:
            self._logged_too_large = True
            logger.error(
                "An answer of about %d bytes was not sent; the client got an error instead. Answer "
                "in parts of at most %d bytes. Further answers like it are not logged.",
                size,
                self._limits.answer,
            )

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """Answer a request for the socket path."""
        query = parse_qs(request.query_string)  # as python-engineio parses it
        if "j" in query:
            return web.Response(status=400, text=NO_JSONP)
        opens = "sid" not in query
        rejection = self._check(request.headers.get("Origin"), opens, self._address(request))
        if rejection:
            return web.Response(status=rejection.status, text=rejection.text)
        sid = query.get("sid", [""])[0]
        if self._has_ended(sid):
            return web.Response(status=400, text="This session has ended.\n")
        if request.method == "POST" and (request.content_length or 0) > self._most(sid):
            self._note("invalid requests", "a POST was too large")
            await self._abort(sid)
            return web.Response(status=413, text="Payload too large\n")
        try:
            response: web.StreamResponse = await super().handle_request(request)
        except ValueError:  # python-engineio does not catch it
            self._note("invalid packets", "not an Engine.IO packet")
            return web.Response(status=400, text="That is not an Engine.IO packet.\n")
        return response

    def _has_ended(self, sid: str) -> bool:
        """Return whether a session that python-engineio still keeps has ended."""
        socket = self.eio.sockets.get(sid)
        return socket is not None and bool(socket.closed)

    def _address(self, request: web.Request) -> bytes:
        # Not `request.remote`, which a header of the client's may override.
        peer = request.transport and request.transport.get_extra_info("peername")
        return self._addresses.of(peer, ",".join(request.headers.getall("X-Forwarded-For", [])))

    async def charge(self, connection: str, packets: int, size: int) -> None:
        """Charge a client for what it sent, and wait if it sent too many bytes.

        Closes the connection and raises SocketIsClosedError if it sent too many packets.
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
            await self._hang_up(connection)

    async def _handle_eio_message(self, eio_sid: str, data: str | bytes) -> None:
        if len(data) > self._most(eio_sid) or not self._is_expected(eio_sid, data):
            self._note("invalid packets", "a packet was too long, or not the expected CONNECT")
            await self._hang_up(eio_sid)
        socket = self.eio.sockets.get(eio_sid)
        if socket is not None and not socket.upgraded:  # a websocket has been charged per frame
            await self.charge(eio_sid, 1, len(data))
        await self._measure(eio_sid, data)
        if eio_sid in self._binary_packet or data[:1] in _EVENTS:
            # Before parsing, because a parsed message takes far more memory.
            while self._behind(eio_sid):  # noqa: ASYNC110 - as above
                await asyncio.sleep(_UNREAD_PAUSE)
        await super()._handle_eio_message(eio_sid, data)

    # Overrides of python-socketio that keep track of sessions and namespaces.

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> Any:
        self.sessions[eio_sid] = self._address(environ["aiohttp.request"])
        self._slots.open(eio_sid)
        return await super()._handle_eio_connect(eio_sid, environ)

    async def _handle_connect(self, eio_sid: str, namespace: str, data: Any) -> None:
        try:
            await super()._handle_connect(eio_sid, namespace, data)
        except (TypeError, ValueError, RecursionError):
            logger.exception("A ConnectionRefusedError has data that cannot be sent as JSON.")
            await self._send_packet(eio_sid, connect_error(namespace, NOT_ACCEPTED))
            sid = self.manager.sid_from_eio_sid(eio_sid, namespace or "/")
            await self.manager.disconnect(sid, namespace or "/", ignore_queue=True)
        if eio_sid not in self.sessions:  # it closed while its connect handler ran
            await super()._handle_disconnect(eio_sid, namespace, self.reason.TRANSPORT_CLOSE)
            return
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
        if socket := self.eio.sockets.get(eio_sid):
            socket.queue.forget()
        await super()._handle_eio_disconnect(eio_sid, reason)

    def has_joined(self, eio_sid: str) -> bool:
        """Return whether a session is open and connected in a namespace."""
        manager = self.manager
        return eio_sid in self.sessions and any(
            manager.is_connected(sid, namespace)
            for namespace in manager.get_namespaces()
            if (sid := manager.sid_from_eio_sid(eio_sid, namespace))
        )

    async def _hang_up(self, connection: str) -> NoReturn:
        """Close a session without waiting for the client, which may still be sending.

        Raises SocketIsClosedError.
        """
        await self._abort(connection)
        raise SocketIsClosedError

    def _give_up(self, unread: Unread, detail: str) -> None:
        """End the session of a client that is too slow to read what is sent to it."""
        for connection, socket in self.eio.sockets.items():
            if socket.queue is unread and not socket.closed:
                self._note("slow clients", detail)
                self.start_background_task(self._abort, connection)

    async def _abort(self, connection: str) -> None:
        if websocket := self.websockets.get(connection):
            websocket.abort()
        elif socket := self.eio.sockets.get(connection):
            # Not by `disconnect`, which waits until a polling client has read everything.
            await socket.close(wait=False, abort=True)

    def _most(self, connection: str) -> int:
        """Return how many bytes a message of this client may have."""
        return self._limits.payload if connection in self._joined else self._limits.connect

    def _is_expected(self, connection: str, data: str | bytes) -> bool:
        return connection in self._joined or data[:1] == "0"  # a CONNECT

    async def _measure(self, connection: str, data: str | bytes) -> None:
        """Limit a packet and its attachments together; raises SocketIsClosedError."""
        if connection not in self._binary_packet:
            self._room[connection] = self._limits.payload
        self._room[connection] -= len(data)
        if self._room[connection] < 0:
            self._note("invalid packets", "the attachments of a packet were too large")
            await self._hang_up(connection)
