"""The first bytes of every connection: a websocket for us, or anything else for aiohttp."""

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
    """Makes a protocol for every connection that comes in.

    `paths` are where the sockets live; `http` makes the protocol that gets everything else
    (`AppRunner.server` is such a factory).

    The protocol is a websocket from the start, and asks here what to do until its handshake is
    over: to change a connection's protocol costs as much as half a handshake's system calls.
    """

    def __init__(
        self, engine: Engine, paths: frozenset[str], http: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        self.engine = engine
        self.http = http
        # What a websocket's request may begin with; whatever else does too is asked again later.
        self._starts = tuple(f"GET {path}".encode() for path in paths)
        self._paths = paths
        self._timeouts: TimeoutQueue[WebSocket] = TimeoutQueue(
            engine.limits.head_time, self._too_late
        )
        self._heads: dict[WebSocket, bytearray] = {}  # those that have begun to arrive
        self._peers: dict[WebSocket, bytes] = {}  # whom connections without a head count for
        self._reserve: set[WebSocket] = set()  # connections that may not become websockets

    def __call__(self) -> WebSocket:
        return WebSocket(self.engine, self)

    def expect(self, socket: WebSocket) -> None:
        """Wait for the first request of a connection, not for ever; hang up if there is no room."""
        connections = self.engine.connections
        if not connections.open() or (peer := connections.hold(socket.transport)) is None:
            self.engine.note("too many connections", "open, or of one address")
            socket.abort()
            return
        if peer:
            self._peers[socket] = peer
        if connections.crowded:
            self._reserve.add(socket)
        self._timeouts.set(socket)

    def forget(self, socket: WebSocket) -> None:
        """Wait no longer."""
        self._timeouts.drop(socket)
        self._heads.pop(socket, None)
        self._reserve.discard(socket)
        if self._peers:
            self.engine.connections.release(self._peers.pop(socket, None))

    def take(self, socket: WebSocket, data: bytes) -> None:
        """Collect the head; then hand over."""
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
        self._took(socket, data, end)

    def _took(self, socket: WebSocket, data: bytes, end: int) -> None:
        crowded = socket in self._reserve
        self.forget(socket)
        socket.acceptor = None
        if end < 0:
            self._refuse(socket, Refusal(3, "Headers too large", _TOO_LARGE))
        elif crowded and data.startswith(self._starts):
            self._refuse(socket, Refusal(4, "This host is full. Please try again later.", _FULL))
        elif data.startswith(self._starts):
            self._ours(socket, data, end)
        else:
            self._theirs(socket, data)

    def _ours(self, socket: WebSocket, data: bytes, end: int) -> None:
        try:
            head = Head(data[:end])
            if not head.upgrades or head.path not in self._paths:
                self._theirs(socket, data)
                return
            environ = Environ(head, socket.transport.get_extra_info("peername"))
            self.engine.open_websocket(head, environ, socket)
        except Refusal as refusal:
            self._refuse(socket, refusal)
            return
        if rest := data[end + len(_END) :]:
            socket.data_received(rest)

    def _theirs(self, socket: WebSocket, data: bytes) -> None:
        http = cast(asyncio.Protocol, self.http())
        self.engine.connections.close()  # its new protocol counts it
        socket.transport.set_protocol(http)
        http.connection_made(socket.transport)
        http.data_received(data)

    def _refuse(self, socket: WebSocket, refusal: Refusal) -> None:
        self.engine.counts["refused handshakes"] += 1
        socket.ending = True
        socket.transport.write(refusal.response)
        socket.transport.close()

    def _too_late(self, socket: WebSocket) -> None:
        """Hang up on a client that took too long to say what it wants."""
        self.engine.note("slow requests", "no complete head in time")
        socket.abort()


_TOO_LARGE = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
_FULL = HTTPStatus.SERVICE_UNAVAILABLE
