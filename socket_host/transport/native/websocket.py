"""A client's websocket: the protocol of one connection."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

from socket_host.transport.limits import UNREAD
from socket_host.transport.native import frames
from socket_host.transport.native.client import BUSY, CHARGE_EVERY
from socket_host.transport.native.frames import FrameError, FrameReader

if TYPE_CHECKING:
    from socket_host.transport.native.client import Client
    from socket_host.transport.native.engine import Engine

_SHORT_TEXT = 0x81  # first byte of a final text frame
_HEADER = 6  # bytes before the payload of a short masked frame

_BYTES_A_TURN = 1 << 16  # of one client in its turn

_DATA = (frames.TEXT, frames.BINARY)

_MOST_DISCARDED = 1 << 18  # bytes from a client that goes on sending after the close frame

# Reasons for not reading a websocket, besides BUSY.
TURN = 2  # it is other clients' turn
RATE = 4  # it has sent too many bytes


class HandshakeHandler(Protocol):
    """What handles a connection until its handshake is done."""

    def expect(self, socket: WebSocket) -> None:
        """Start the timeout for a first request."""

    def forget(self, socket: WebSocket) -> None:
        """Stop waiting for a request."""

    def receive(self, socket: WebSocket, data: bytes) -> None:
        """Take bytes of the first request."""


class WebSocket(asyncio.Protocol):
    """The protocol of one connection: reads frames, and passes packets to the engine.

    `acceptor` gets all input until the handshake is done. `prober` is a polling client that is
    upgrading to this websocket.
    """

    __slots__ = (
        "acceptor",
        "client",
        "discarded",
        "ending",
        "engine",
        "full",
        "held",
        "prober",
        "reader",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, engine: Engine, acceptor: HandshakeHandler | None = None) -> None:
        self.engine = engine
        self.acceptor = acceptor
        self.client: Client | None = None
        self.prober: Client | None = None
        self.ending = False
        self.full = False  # whether the transport's write buffer is full
        self.reader: FrameReader | None = None  # only while some input is incomplete
        self.held = 0  # the reasons for not reading: a combination of BUSY, TURN and RATE
        self.discarded = 0  # bytes received after the close frame

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's does not derive from it
        if self.acceptor is not None:
            self.acceptor.expect(self)
        else:
            self.engine.connections.open()

    def data_received(self, data: bytes) -> None:
        """Handle bytes from the client; invalid ones end the connection."""
        size = len(data) - _HEADER
        client = self.client
        # A fast path for exactly one short text frame, which `_read` could handle too.
        if (
            0 < size < 126
            and data[0] == _SHORT_TEXT
            and data[1] == size | 0x80
            and client is not None
            and self.reader is None
            and not self.ending
        ):
            try:
                packet = frames.utf8(frames.unmask(data[_HEADER:], data[2:_HEADER]))
            except FrameError as error:
                self.engine.invalid_frame(self, error)
                return
            client.uncharged += 1
            if client.uncharged < CHARGE_EVERY or self._charge(client, 0, 0):
                self.engine.packet(client, packet)
        elif self.acceptor is not None:
            self.acceptor.receive(self, data)
        elif self.reader is not None and self.reader.store(data):
            pass  # it completes nothing
        elif not self.ending:
            self._read(data)
        else:
            self._discard(data)

    def _read(self, data: bytes) -> None:
        """Handle as much of the input as one iteration of the event loop allows."""
        client = self.client or self.prober
        if client is None:
            return
        limits = self.engine.limits
        turns, size = self.engine.turns, len(data) + self._stored()
        most, limit = turns.packets(), limits.payload
        if not client.joined:  # one at a time, since joining raises the limit
            most, limit = min(1, most), limits.connect
        messages: list[tuple[int, bytes]] = []
        try:
            messages, count = self._parse(data, most, limit)
            turns.spend(count, size - self._stored())
            if self._charge(client, count, len(data)):
                self._deliver(messages)
        except FrameError as error:
            self.engine.invalid_frame(self, error)
        self._keep(messages)

    def _stored(self) -> int:
        return 0 if self.reader is None else len(self.reader)

    def _parse(self, data: bytes, most: int, limit: int) -> tuple[list[tuple[int, bytes]], int]:
        """Return the next messages and the number of their frames; raises FrameError."""
        messages: list[tuple[int, bytes]] = []
        if self.reader is None:
            messages, at = frames.short_texts(data, limit, most)
            if at == len(data):
                return messages, len(messages)
            data = data[at:]
            self.reader = FrameReader(limit)
        self.reader.limit = limit
        count = len(messages)
        try:
            messages += self.reader.feed(data, most - count, _BYTES_A_TURN)
        except FrameError as error:
            if not messages:
                raise
            self.reader.fail(error)
        return messages, count + self.reader.frames

    def _keep(self, messages: list[tuple[int, bytes]]) -> None:
        """Drop the reader, or keep it if some input is left over in it."""
        reader = self.reader
        if reader is None:
            return
        if reader.more:
            self.hold(TURN)
            self.engine.turns.wait(partial(self.release, TURN))
        if reader.more or not reader.idle:
            if any(opcode in _DATA for opcode, _ in messages):
                self.engine.input.release(self)  # the rest belongs to another message
            self.engine.input.hold(self, len(reader), self.evict)
        else:
            self._forget()

    def _charge(self, client: Client, packets: int, size: int) -> bool:
        """Charge the client for what it sent; return False if that ended its connection."""
        seconds = self.engine.charge(client, packets, size)
        if seconds:
            self.hold(RATE)
            self.engine.loop.call_later(seconds, self.release, RATE)
        return not self.ending

    def hold(self, why: int) -> None:
        """Stop reading, for a reason."""
        if not self.held and not self.transport.is_closing():
            self.transport.pause_reading()
        self.held |= why

    def release(self, why: int) -> None:
        """Resume reading, if there is no other reason not to."""
        if not self.held & why:
            return
        self.held &= ~why
        if not self.held and self.reader is not None and self.reader.more:
            self._read(b"")
        if not self.held and not self.transport.is_closing():
            self.transport.resume_reading()

    def _deliver(self, messages: list[tuple[int, bytes]]) -> None:
        if len(messages) < 2:
            self._frames(messages)
            return
        # Join the answers to messages that came together, since each write is a system call.
        self.engine.batch.join()
        try:
            self._frames(messages)
        finally:
            self.engine.batch.joined()

    def _frames(self, messages: list[tuple[int, bytes]]) -> None:
        try:
            for message in messages:
                opcode, payload = message
                if opcode == frames.TEXT and self.client is not None:
                    self.engine.packet(self.client, frames.utf8(payload))
                else:
                    self._frame(opcode, payload)
                if self.ending:
                    return
        except FrameError as error:
            if message is messages[0]:
                raise
            # Raised again once the messages before it have been answered.
            if self.reader is None:
                self.reader = FrameReader(0)
            self.reader.fail(error)

    def _discard(self, data: bytes) -> None:
        """Hang up on a client that does not stop sending after the close frame."""
        self.discarded += len(data)
        if self.discarded > _MOST_DISCARDED:
            self.transport.abort()

    def evict(self) -> None:
        """Hang up on a client with incomplete input, because the host holds too much of it."""
        self.engine.note("partial input", "the host held too much of it")
        self.abort()
        self.engine.lost(self)

    def _frame(self, opcode: int, payload: bytes) -> None:
        if opcode == frames.TEXT:
            self._packet(frames.utf8(payload))
        elif opcode == frames.BINARY:
            self._packet(payload)
        elif opcode == frames.PING:
            self.write_tracked(frames.frame(frames.PONG, payload))
        elif opcode == frames.CLOSE:
            self._closed_by_client(frames.close_code(payload))

    def _packet(self, packet: str | bytes) -> None:
        if self.client is not None:
            self.engine.packet(self.client, packet)
        elif self.prober is not None:
            self.engine.upgrades.packet(self, self.prober, packet)

    def _closed_by_client(self, code: int) -> None:
        self.engine.batch.flush()  # nothing may follow a close frame
        self.write_tracked(frames.close_frame(frames.NORMAL if code == frames.NO_STATUS else code))
        self.ending = True
        self._forget()
        self.transport.close()  # after sending what is buffered
        self.engine.lost(self)
        self.engine.endings.set(self)

    def write_tracked(self, data: bytes) -> None:
        """Write to a client that may not be reading, and update its backlog."""
        waiting = self.transport.get_write_buffer_size()
        if waiting > UNREAD and self.client is not None and not self.ending:
            self.engine.slow_readers.watch(self.client)
        if waiting > self.engine.limits.backlog:
            self._add_to_backlog(len(data))
        if not self.ending:
            self.transport.write(data)

    def _add_to_backlog(self, size: int) -> None:
        if self.ending:
            return
        if self.client is not None:
            self.engine.backlogs.add(self.client, size)
        elif self.prober is not None:  # it is sent nothing but answers to its own frames
            self.engine.overrun(self.prober, "it did not read from the websocket of its upgrade")

    def end(self, code: int = frames.NORMAL, reason: str = "") -> None:
        """Send a close frame, and wait a little for the client to hang up."""
        if self.ending:
            return
        self.write_tracked(frames.close_frame(code, reason))
        self.ending = True
        self._forget()
        self.engine.endings.set(self)
        if self.held and not self.transport.is_closing():
            self.held = 0
            self.transport.resume_reading()  # in order to notice that the client hangs up
        try:
            # Closing while the client still sends would reset the connection, and the close frame
            # would be lost.
            self.transport.write_eof()
        except (OSError, RuntimeError):
            self.transport.abort()  # the client has closed the connection already

    def abort(self) -> None:
        """Hang up at once."""
        self.ending = True
        self._forget()
        self.transport.abort()

    def _forget(self) -> None:
        """Drop incomplete input."""
        if self.reader is not None:
            self.reader = None
            self.engine.input.release(self)

    def attach(self, client: Client) -> None:
        """Become the client's transport; let it write directly unless the buffer is full."""
        self.client, client.socket = client, self
        client.write = None if self.full else self.transport.write
        if client.inbox:  # messages that came by polling have to be handled first
            self.hold(BUSY)

    def pause_writing(self) -> None:
        """Stop direct writes: the buffer is full, so the client's backlog must be tracked."""
        self.full = True
        if self.client is not None and self.client.write is not None:
            self.client.write = None
            self.client.refresh()

    def resume_writing(self) -> None:
        """Allow direct writes again: the client has caught up."""
        self.full = False
        if self.client is not None and not self.client.closing:
            self.client.write = self.transport.write
            self.client.refresh()
            self.engine.backlogs.forget(self.client)
            self.engine.slow_readers.forget(self.client)
            self.client.notify_read()

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up, and drop all references to other objects."""
        self.ending = True
        self._forget()
        self.engine.connections.close()
        if self.acceptor is not None:
            self.acceptor.forget(self)
        self.engine.lost(self)
        self.client = self.prober = self.acceptor = None
