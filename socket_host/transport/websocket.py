"""A client's websocket: the protocol of one connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from socket_host.transport import frames
from socket_host.transport.frames import FrameError, FrameReader

if TYPE_CHECKING:
    from socket_host.transport.client import Client
    from socket_host.transport.engine import Engine
    from socket_host.transport.front import Front

_SHORT_TEXT = 0x81  # first byte of a final text frame
_HEADER = 6  # bytes before the payload of a short masked frame


class WebSocket(asyncio.Protocol):
    """Reads frames and hands packets to the engine: the protocol of one connection.

    `front` is asked what to do until the handshake is over. `prober` is the polling client that
    this websocket may take over, until it has.
    """

    __slots__ = ("client", "ending", "engine", "front", "prober", "reader", "transport")

    transport: asyncio.Transport

    def __init__(self, engine: Engine, front: Front | None = None) -> None:
        self.engine = engine
        self.front = front
        self.client: Client | None = None
        self.prober: Client | None = None
        self.ending = False
        self.reader: FrameReader | None = None  # only while something is left over

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's does not derive from it
        if self.front is not None:
            self.front.expect(self)
        else:
            self.engine.connections.open()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client; what is wrong with them ends the connection."""
        size = len(data) - _HEADER
        client = self.client
        try:
            # Nearly always exactly one short text frame: the reader does the same, at length.
            if (
                0 < size < 126
                and data[0] == _SHORT_TEXT
                and data[1] == size | 0x80
                and client is not None
                and self.reader is None
                and not self.ending
            ):
                packet = frames.utf8(frames.unmask(data[_HEADER:], data[2:_HEADER]))
                self.engine.packet(client, packet)
            elif self.front is not None:
                self.front.take(self, data)
            elif not self.ending:
                self._read(data)
        except FrameError as error:
            self.engine.broken(self, error)

    def _read(self, data: bytes) -> None:
        reader, limit = self.reader, self.engine.limits.payload
        messages, at = ([], 0) if reader else frames.short_texts(data, limit)
        if at < len(data):
            reader = reader or FrameReader(limit)
            messages += reader.feed(data[at:])
        if len(messages) < 2:
            self._frames(messages)
        else:
            # The answers to what came together go together: each write is a system call.
            self.engine.turn.join()
            try:
                self._frames(messages)
            finally:
                self.engine.turn.joined()
        self.reader = None if reader is None or reader.idle or self.ending else reader

    def _frames(self, messages: list[tuple[int, bytes]]) -> None:
        for opcode, payload in messages:
            if opcode == frames.TEXT and self.client is not None:
                self.engine.packet(self.client, frames.utf8(payload))
            else:
                self._frame(opcode, payload)
            if self.ending:
                return

    def _frame(self, opcode: int, payload: bytes) -> None:
        if opcode == frames.TEXT:
            self._packet(frames.utf8(payload))
        elif opcode == frames.BINARY:
            self._packet(payload)
        elif opcode == frames.PING:
            self.press(frames.frame(frames.PONG, payload))
        elif opcode == frames.CLOSE:
            self._closed_by_client(frames.close_code(payload))

    def _packet(self, packet: str | bytes) -> None:
        if self.client is not None:
            self.engine.packet(self.client, packet)
        elif self.prober is not None:
            self.engine.probed(self, self.prober, packet)

    def _closed_by_client(self, code: int) -> None:
        self.engine.turn.flush()  # nothing may follow a close frame
        self.press(frames.close_frame(frames.NORMAL if code == frames.NO_STATUS else code))
        self.ending = True
        self.transport.close()
        self.engine.lost(self)

    def press(self, data: bytes) -> None:
        """Write to a client that may not be reading, up to the limit of what may wait for it."""
        if self.ending:
            return
        if self.transport.get_write_buffer_size() > self.engine.limits.backlog:
            self.engine.overrun(self.client or self.prober)
        else:
            self.transport.write(data)

    def end(self, code: int = frames.NORMAL, reason: str = "") -> None:
        """Say goodbye, send no more, and wait a little for the client to hang up."""
        if self.ending:
            return
        self.press(frames.close_frame(code, reason))
        self.ending = True
        self.reader = None
        self.engine.endings.set(self)
        try:
            # Hanging up first would reset the connection while the client still sends, and the
            # close frame would be lost with it.
            self.transport.write_eof()
        except (OSError, RuntimeError):
            self.transport.abort()  # the client has been quicker

    def abort(self) -> None:
        """Hang up at once."""
        self.ending = True
        self.transport.abort()

    def pause_writing(self) -> None:
        """The client does not read: from now on what waits for it is watched."""
        if self.client is not None and self.client.write is not None:
            self.client.write = None
            self.client.refresh()

    def resume_writing(self) -> None:
        """The client has caught up: frames may go straight to the transport again."""
        if self.client is not None and not self.client.closing:
            self.client.write = self.transport.write
            self.client.refresh()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; nothing here may keep anything else alive."""
        self.ending = True
        self.engine.connections.close()
        if self.front is not None:
            self.front.forget(self)
        self.engine.lost(self)
        self.client = self.prober = self.reader = self.front = None
