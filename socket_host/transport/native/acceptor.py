"""The acceptor: reads a connection's first request, and sends it to the engine or to aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

from socket_host.transport.native.engine import Engine
from socket_host.transport.native.environ import Environ
from socket_host.transport.native.head import Head
from socket_host.transport.native.refusal import Refusal
from socket_host.transport.native.websocket import WebSocket
from socket_host.transport.timeout_queue import TimeoutQueue

_END = b"\r\n\r\n"


class Acceptor:
    """The protocol factory for incoming connections.

    Websocket requests for `paths` go to the engine. Everything else goes to the protocol that
    `http` makes; `AppRunner.server` is such a factory.

    Each connection starts as a WebSocket, which passes its input here until the handshake is done.
    That saves changing its protocol, which is slow.
    """

    def __init__(
        self, engine: Engine, paths: frozenset[str], http: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        self.engine = engine
        self.http = http
        # How a websocket request begins. So may other requests, which are distinguished later.
        self._starts = tuple(f"GET {path}".encode() for path in paths)
        self._paths = paths
        self._timeouts: TimeoutQueue[WebSocket] = TimeoutQueue(
            engine.limits.head_time, self._head_timed_out
        )
        self._heads: dict[WebSocket, bytearray] = {}  # incomplete heads
        self._peers: dict[WebSocket, bytes] = {}  # what `Connections.hold` returned
        self._reserve: set[WebSocket] = set()  # connections that may not become websockets

    def __call__(self) -> WebSocket:
        return WebSocket(self.engine, self)

    def expect(self, socket: WebSocket) -> None:
        """Start the timeout for a first request; hang up if there are too many connections."""
        connections = self.engine.connections
        if not connections.open() or (peer := connections.hold(socket.transport)) is None:
            self.engine.note("too many connections", "in total, or from one address")
            socket.abort()
            return
        if peer:
            self._peers[socket] = peer
        if connections.crowded:
            self._reserve.add(socket)
        self._timeouts.set(socket)

    def forget(self, socket: WebSocket) -> None:
        """Stop waiting for a request."""
        self._timeouts.drop(socket)
        self._heads.pop(socket, None)
        self._reserve.discard(socket)
        if self._peers:
            self.engine.connections.release(self._peers.pop(socket, None))

    def receive(self, socket: WebSocket, data: bytes) -> None:
        """Collect the head of the request, then dispatch it."""
        most = self.engine.limits.head
        begun = self._heads.get(socket)
        if begun is None:
            end = data.find(_END, 0, most + len(_END))
        else:
            looked = max(0, len(begun) - len(_END) + 1)
            begun += data
            end = begun.find(_END, looked, most + len(_END))
        if end < 0 and (len(data) if begun is None else len(begun)) <= most:
            self._heads.setdefault(socket, bytearray(data))
            return
        if begun is not None:
            data = bytes(begun)
        self._dispatch(socket, data, end)

    def _dispatch(self, socket: WebSocket, data: bytes, end: int) -> None:
        crowded = socket in self._reserve
        self.forget(socket)
        socket.acceptor = None
        if end < 0:
            self._refuse(socket, Refusal(3, "Headers too large", _TOO_LARGE))
        elif crowded and data.startswith(self._starts):
            self._refuse(socket, Refusal(4, "This host is full. Please try again later.", _FULL))
        elif data.startswith(self._starts):
            self._open_websocket(socket, data, end)
        else:
            self._pass_to_http(socket, data)

    def _open_websocket(self, socket: WebSocket, data: bytes, end: int) -> None:
        try:
            head = Head(data[:end])
            if not head.upgrades or head.path not in self._paths:
                self._pass_to_http(socket, data)
                return
            environ = Environ(head, socket.transport.get_extra_info("peername"))
            self.engine.open_websocket(head, environ, socket)
        except Refusal as refusal:
            self._refuse(socket, refusal)
            return
        if rest := data[end + len(_END) :]:
            socket.data_received(rest)

    def _pass_to_http(self, socket: WebSocket, data: bytes) -> None:
        http = cast(asyncio.Protocol, self.http())
        self.engine.connections.close()  # the HTTP protocol counts the connection again
        socket.transport.set_protocol(http)
        http.connection_made(socket.transport)
        http.data_received(data)

    def _refuse(self, socket: WebSocket, refusal: Refusal) -> None:
        self.engine.counts["refused handshakes"] += 1
        socket.ending = True
        socket.transport.write(refusal.response)
        socket.transport.close()

    def _head_timed_out(self, socket: WebSocket) -> None:
        """Hang up on a client that took too long to send the head of a request."""
        self.engine.note("slow requests", "no complete head in time")
        socket.abort()


_TOO_LARGE = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
_FULL = HTTPStatus.SERVICE_UNAVAILABLE
