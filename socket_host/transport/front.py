"""The first bytes of every connection: a websocket for us, or anything else for aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

from socket_host.transport.deadlines import Deadlines
from socket_host.transport.engine import Engine
from socket_host.transport.request import Environ, Head, Refusal

_END = b"\r\n\r\n"


class Front:
    """Makes a protocol for every connection that comes in.

    `paths` are where the sockets live; `http` makes the protocol that gets everything else
    (`AppRunner.server` is such a factory).
    """

    def __init__(
        self, engine: Engine, paths: frozenset[str], http: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        self.engine = engine
        self.http = http
        # What a websocket's request may begin with; whatever else does too is asked again later.
        self.starts = tuple(f"GET {path}".encode() for path in paths)
        self.paths = paths
        self.deadlines: Deadlines[FirstRequest] = Deadlines(
            engine.limits.head_time, FirstRequest.too_late
        )

    def __call__(self) -> FirstRequest:
        return FirstRequest(self)


class FirstRequest(asyncio.Protocol):
    """Waits for the first request's head, not for ever, and hands the connection on."""

    __slots__ = ("_front", "_received", "_transport")

    def __init__(self, front: Front) -> None:
        self._front = front
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not derive from it
        self._front.deadlines.set(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody asked anything."""
        self._front.deadlines.drop(self)
        self._transport = None

    def too_late(self) -> None:
        """Hang up on a client that took too long to say what it wants."""
        if self._transport is not None:
            self._front.engine.note("slow requests", "no complete head in time")
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Collect the head; then hand over."""
        self._received += data
        end = self._received.find(_END)
        if end >= 0:
            self._hand_over(bytes(self._received), end)
        elif len(self._received) > self._front.engine.limits.head:
            self._refuse(Refusal(3, "Headers too large", _TOO_LARGE))

    def _hand_over(self, received: bytes, end: int) -> None:
        self._front.deadlines.drop(self)
        if end > self._front.engine.limits.head:
            self._refuse(Refusal(3, "Headers too large", _TOO_LARGE))
        elif received.startswith(self._front.starts):
            self._ours(received, end)
        else:
            self._theirs(received)

    def _ours(self, received: bytes, end: int) -> None:
        assert self._transport is not None
        try:
            head = Head(received[:end])
            if not head.upgrades or head.path not in self._front.paths:
                self._theirs(received)
                return
            environ = Environ(head, self._transport.get_extra_info("peername"))
            socket = self._front.engine.open_websocket(head, environ, self._transport)
        except Refusal as refusal:
            self._refuse(refusal)
            return
        self._transport.set_protocol(socket)
        if rest := received[end + len(_END) :]:
            socket.data_received(rest)

    def _theirs(self, received: bytes) -> None:
        assert self._transport is not None
        http = cast(asyncio.Protocol, self._front.http())
        self._transport.set_protocol(http)
        http.connection_made(self._transport)
        http.data_received(received)

    def _refuse(self, refusal: Refusal) -> None:
        assert self._transport is not None
        self._front.engine.counts["refused handshakes"] += 1
        self._front.deadlines.drop(self)
        self._transport.write(refusal.response)
        self._transport.close()


_TOO_LARGE = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
