"""A network inside one process: a host, its connections, and a clock that a test advances."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Self, cast
from unittest import mock

from aiohttp import web

from socket_host import app
from socket_host.app import SocketHost, create_app
from socket_host.bus import Bus
from socket_host.namespace import Namespace
from socket_host.settings import Settings
from tests.fuzz.loop import Loop
from tests.kit.protocol_client import CLOSE, frame, handshake

_SLICE = 5.0  # seconds of the clock between two checks for pings to answer
_HIGH_WATER = 1 << 16  # bytes, asyncio's own


class Connection(asyncio.Transport):
    """The server's end of a TCP connection; the test is the client."""

    def __init__(self, loop: Loop, factory: Callable[[], asyncio.BaseProtocol]) -> None:
        super().__init__({"peername": ("192.0.2.7", 4711)})
        self.sent = bytearray()  # by the server, and not yet read by the client
        self.reads = True  # whether the client does
        self.lost = self.closing = False
        self._loop = loop
        self._arrived: deque[bytes] = deque()  # while the server does not read
        self._paused = self._full = False
        self._unread = bytearray()
        self._protocol: asyncio.BaseProtocol = asyncio.Protocol()
        loop.call_soon(self._accept, factory)
        loop.settle()

    def _accept(self, factory: Callable[[], asyncio.BaseProtocol]) -> None:
        self._protocol = factory()
        self._protocol.connection_made(self)

    # The client's end

    def send(self, *pieces: bytes) -> None:
        """Send bytes, each piece as a segment."""
        self._arrived += pieces
        self._loop.call_soon(self._deliver)
        self._loop.settle()

    def arrive(self, piece: bytes) -> None:
        """Send bytes together with what follows, so that the server cannot answer in between."""
        self._arrived.append(piece)
        self._loop.call_soon(self._deliver)

    def read(self) -> bytes:
        """Return what the server has written."""
        data = bytes(self.sent)
        self.sent.clear()
        return data

    def stall(self, stalled: bool = True) -> None:
        """Stop reading, or resume."""
        self.reads = not stalled
        if self.reads and not self.lost:
            self.sent += self._unread
            self._unread.clear()
            self._loop.call_soon(self._drained)
            self._loop.settle()

    def trickle(self, size: int) -> None:
        """Read this many of the bytes that were written while the client stalled."""
        self.sent += self._unread[:size]
        del self._unread[:size]
        if len(self._unread) <= _HIGH_WATER // 4:
            self._loop.call_soon(self._drained)
            self._loop.settle()

    def finish(self) -> None:
        """Send no more, as a client that half-closes."""
        self._loop.call_soon(self._eof)
        self._loop.settle()

    def cut(self, error: Exception | None = None) -> None:
        """Lose the connection."""
        self._loop.call_soon(self._lose, error)
        self._loop.settle()

    def _deliver(self) -> None:
        while self._arrived and not (self._paused or self.closing or self.lost):
            cast(asyncio.Protocol, self._protocol).data_received(self._arrived.popleft())

    def _eof(self) -> None:
        if not (self.lost or self.closing):
            keeps = cast(asyncio.Protocol, self._protocol).eof_received()
            if not keeps:
                self.close()

    def _lose(self, error: Exception | None) -> None:
        if not self.lost:
            self.lost = self.closing = True
            self._unread.clear()
            self._protocol.connection_lost(error)
            self._protocol = asyncio.Protocol()  # asyncio's transports drop theirs too

    def _drained(self) -> None:
        if self._full and not self.lost:
            self._full = False
            self._protocol.resume_writing()
        if self.closing:
            self._lose(None)

    # The server's end

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def write(self, data: Any) -> None:
        if self.lost:
            return
        if self.reads:
            self.sent += data
            return
        self._unread += data
        if not self._full and len(self._unread) > _HIGH_WATER:
            self._full = True
            self._protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return len(self._unread)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return _HIGH_WATER // 4, _HIGH_WATER

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if self.lost:
            raise OSError("the connection is lost")

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            if not self._unread:  # otherwise once everything is read
                self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        self.closing = True
        self._loop.call_soon(self._lose, None)

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._loop.call_soon(self._deliver)

    def is_reading(self) -> bool:
        return not self._paused


class WebSocket:
    """A client's websocket on such a connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.open = ""  # the open packet
        self._buffer = b""

    @property
    def sid(self) -> str:
        """The session's id."""
        return str(json.loads(self.open[1:])["sid"])

    def send(self, *packets: str | bytes) -> None:
        """Send packets, each in its own frame, in one segment."""
        self.connection.send(b"".join(map(packet_frame, packets)))

    def receive(self) -> list[str | bytes]:
        """Return the packets that have arrived; assert that a server may send them."""
        packets: list[str | bytes] = []
        self._buffer += self.connection.read()
        while len(self._buffer) >= 2:
            first, size = self._buffer[:2]
            assert first & 0xF0 == 0x80, "servers send whole messages"
            start = {126: 4, 127: 10}.get(size, 2)
            if start > 2:
                size = int.from_bytes(self._buffer[2:start], "big")
            if len(self._buffer) < start + size:
                break
            payload = self._buffer[start : start + size]
            self._buffer = self._buffer[start + size :]
            if first & 0x0F == 1:
                packets.append(payload.decode())
            elif first & 0x0F == 2:
                packets.append(payload)
            elif first & 0x0F == CLOSE:
                assert not self._buffer, "nothing follows a close frame"
        return packets


class Log(logging.Handler):
    """Records what the host logs."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self.failures: list[str] = []  # unexpected: those with a traceback

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        if record.exc_info:
            self.failures.append(f"{record.getMessage()}: {record.exc_info[1]!r}")


class Network:
    """A host with the handlers of `events`, on its own loop, without a port.

    `bus` makes its bus.
    """

    def __init__(
        self,
        events: type[Namespace],
        bus: Callable[[], Bus] | None = None,
        **changes: Any,
    ) -> None:
        defaults: dict[str, Any] = {
            "session_secret": None,
            "origins": None,
            "max_per_address": 0,  # everybody here has the same, and may be one visitor
            "max_per_visitor": 0,
        }
        self.loop = Loop()
        self.log = Log()
        self.connections: list[Connection] = []
        asyncio.set_event_loop(self.loop)
        # In place of pytest's, which would keep every line of every example.
        self._handlers, logging.root.handlers = logging.root.handlers, [self.log]
        thresholds = gc.get_threshold()
        with contextlib.ExitStack() as stack:
            if bus is not None:
                made = mock.patch.object(app, "open_bus", side_effect=lambda *_: bus())
                stack.enter_context(made)
            self.host: SocketHost = create_app(Settings(**defaults | changes), [events])
        self._runner = web.AppRunner(self.host.web, access_log=None)
        self.loop.run(self._start())
        gc.set_threshold(*thresholds)
        assert self._runner.server
        self._factory = self.host.transport.protocols(self._runner.server, self.host.connections)

    async def _start(self) -> None:
        await self.host.bus.start()
        self._namespace = self.host.namespaces[0].running()
        await self._namespace.__aenter__()
        self.host.bus.peers.start()
        await self.host.transport.start()
        await self._runner.setup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self.loop.run(self._stop())
        finally:
            logging.root.handlers = self._handlers
            asyncio.set_event_loop(None)
            self.loop.close()

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self.host.transport.stop()
        self.host.bus.peers.stop()
        await self.host.namespaces[0].settle()
        await self._namespace.__aexit__(None, None, None)
        await self.host.bus.stop()

    def connect(self) -> Connection:
        """Return a new connection."""
        connection = Connection(self.loop, self._factory)
        self.connections.append(connection)
        return connection

    def websocket(self, query: str = "EIO=4&transport=websocket") -> WebSocket:
        """Return a websocket after its handshake, with the `open` packet if the session is new."""
        socket = WebSocket(self.connect())
        socket.connection.send(handshake(query))
        head, _, rest = socket.connection.read().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        socket.connection.sent += rest
        if "sid=" not in query:
            (packet,) = socket.receive()
            socket.open = str(packet)
        return socket

    def joined(self, auth: str = "") -> WebSocket:
        """Return a websocket that has joined the main namespace."""
        socket = self.websocket()
        socket.send("40" + auth)
        assert any(str(packet).startswith("40{") for packet in socket.receive())
        return socket

    def ask(
        self, query: str, body: bytes | None = None, connection: Connection | None = None
    ) -> Connection:
        """Send a polling request: POST with a body, else GET. The response may come later."""
        connection = connection or self.connect()
        method = "GET" if body is None else "POST"
        size = b"" if body is None else b"Content-Length: %d\r\n" % len(body)
        line = f"{method} /socket.io/?EIO=4&transport=polling{query} HTTP/1.1\r\n"
        connection.send(line.encode() + b"Host: sidepath.test\r\n" + size + b"\r\n" + (body or b""))
        return connection

    def poll(self) -> str:
        """Open a session by polling; return its sid."""
        return str(json.loads(answer(self.ask(""))[1][1:])["sid"])

    def healthy(self) -> None:
        """Assert that there were no unexpected errors."""
        assert not self.log.failures, self.log.failures
        assert not self.loop.errors, self.loop.errors


def packet_frame(packet: str | bytes) -> bytes:
    """Return a client's frame for a packet."""
    return frame(packet, 2) if isinstance(packet, bytes) else frame(packet.encode(), 1)


def answer(connection: Connection) -> tuple[int, str]:
    """Return the status and body of the HTTP response; status 0 if there is none yet."""
    head, _, body = connection.read().partition(b"\r\n\r\n")
    return (int(head.split(b" ", 2)[1]), body.decode()) if head else (0, "")
