"""A client's websocket: the protocol of one connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, cast

from socket_host.transport.limits import PACKETS_A_TURN
from socket_host.transport.native import frames
from socket_host.transport.native.client import BUSY, SLICE
from socket_host.transport.native.frames import FrameError, FrameReader

if TYPE_CHECKING:
    from socket_host.transport.native.client import Client
    from socket_host.transport.native.engine import Engine

_SHORT_TEXT = 0x81  # first byte of a final text frame
_HEADER = 6  # bytes before the payload of a short masked frame

_BYTES_A_TURN = 1 << 16  # of one client, in one turn of the event loop, beside PACKETS_A_TURN

_DATA = (frames.TEXT, frames.BINARY)

_MOST_DISCARDED = 1 << 18  # bytes of a client that goes on sending after it was told to go

# Why a websocket is not being read, besides BUSY.
TURN = 2  # others have their turn
RATE = 4  # it has sent too many bytes


class Reception(Protocol):
    """What decides about a connection until its handshake is over."""

    def expect(self, socket: WebSocket) -> None:
        """Wait for the first request of a connection, not for ever."""

    def forget(self, socket: WebSocket) -> None:
        """Wait no longer."""

    def take(self, socket: WebSocket, data: bytes) -> None:
        """Take bytes of the first request."""


class WebSocket(asyncio.Protocol):
    """Reads frames and hands packets to the engine: the protocol of one connection.

    `front` is asked what to do until the handshake is over. `prober` is the polling client that
    this websocket may take over, until it has.
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

    def __init__(self, engine: Engine, acceptor: Reception | None = None) -> None:
        self.engine = engine
        self.acceptor = acceptor
        self.client: Client | None = None
        self.prober: Client | None = None
        self.ending = False
        self.full = False  # so much waits to be written that the client has to read first
        self.reader: FrameReader | None = None  # only while something is left over
        self.held = 0  # why it is not being read: BUSY, TURN and RATE, or none of them
        self.discarded = 0  # bytes that came after the end

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's does not derive from it
        if self.acceptor is not None:
            self.acceptor.expect(self)
        else:
            self.engine.connections.open()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client; what is wrong with them ends the connection."""
        size = len(data) - _HEADER
        client = self.client
        # Nearly always exactly one short text frame: `_read` does the same, at length.
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
                self.engine.broken(self, error)
                return
            client.spent += 1
            if client.spent < SLICE or self._charge(client, 0, 0):
                self.engine.packet(client, packet)
        elif self.acceptor is not None:
            self.acceptor.take(self, data)
        elif self.reader is not None and self.reader.wait(data):
            pass  # it completes nothing
        elif not self.ending:
            self._read(data)
        else:
            self._discard(data)

    def _read(self, data: bytes) -> None:
        """Do what a client may have done in one turn of the loop with what has come of it."""
        client = self.client or self.prober
        if client is None:
            return
        limits = self.engine.limits
        # One at a time until it has joined: what follows then may be longer.
        most, limit = (PACKETS_A_TURN, limits.payload) if client.joined else (1, limits.connect)
        messages: list[tuple[int, bytes]] = []
        try:
            messages, count = self._parse(data, most, limit)
            if self._charge(client, count, len(data)):
                self._deliver(messages)
        except FrameError as error:
            self.engine.broken(self, error)
        self._keep(messages)

    def _parse(self, data: bytes, most: int, limit: int) -> tuple[list[tuple[int, bytes]], int]:
        """Return the next messages, and of how many frames they are; raises FrameError."""
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
        """Let go of the reader, or keep what is left over in it until the next turn."""
        reader = self.reader
        if reader is None:
            return
        if reader.more:
            self.hold(TURN)
            self.engine.soon(self.release, TURN)
        if reader.more or not reader.idle:
            if any(opcode in _DATA for opcode, _ in messages):
                self.engine.input.release(self)  # what is left over is of another message
            self.engine.input.hold(self, len(reader), self.evict)
        else:
            self._forget()

    def _charge(self, client: Client, packets: int, size: int) -> bool:
        """Charge the client for what it has sent; return False if that ended its connection."""
        seconds = self.engine.charge(client, packets, size)
        if seconds:
            self.hold(RATE)
            self.engine.loop.call_later(seconds, self.release, RATE)
        return not self.ending

    def hold(self, why: int) -> None:
        """Read no further, for one reason or another."""
        if not self.held and not self.transport.is_closing():
            self.transport.pause_reading()
        self.held |= why

    def release(self, why: int) -> None:
        """Read on, if there is no other reason not to."""
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
        # The answers to what came together go together: each write is a system call.
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
            # Once those before it have been answered.
            if self.reader is None:
                self.reader = FrameReader(0)
            self.reader.fail(error)

    def _discard(self, data: bytes) -> None:
        """Hang up on a client that does not stop sending."""
        self.discarded += len(data)
        if self.discarded > _MOST_DISCARDED:
            self.transport.abort()

    def evict(self) -> None:
        """Hang up on a client whose input stays incomplete while others need the room."""
        self.engine.note("partial input", "the host held too much of it")
        self.abort()
        self.engine.lost(self)

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
        self.engine.batch.flush()  # nothing may follow a close frame
        self.press(frames.close_frame(frames.NORMAL if code == frames.NO_STATUS else code))
        self.ending = True
        self._forget()
        self.transport.close()  # once it has read what waits for it
        self.engine.lost(self)
        self.engine.endings.set(self)

    def press(self, data: bytes) -> None:
        """Write to a client that may not be reading."""
        if self.transport.get_write_buffer_size() > self.engine.limits.backlog:
            self._add_to_backlog(len(data))
        if not self.ending:
            self.transport.write(data)

    def _add_to_backlog(self, size: int) -> None:
        if self.ending:
            return
        if self.client is not None:
            self.engine.backlogs.add(self.client, size)
        elif self.prober is not None:  # it is sent nothing but what it asks for
            self.engine.overrun(self.prober, "it does not read on the websocket it tries")

    def end(self, code: int = frames.NORMAL, reason: str = "") -> None:
        """Say goodbye, send no more, and wait a little for the client to hang up."""
        if self.ending:
            return
        self.press(frames.close_frame(code, reason))
        self.ending = True
        self._forget()
        self.engine.endings.set(self)
        if self.held and not self.transport.is_closing():
            self.held = 0
            self.transport.resume_reading()  # or it would not be seen to hang up
        try:
            # Hanging up first would reset the connection while the client still sends, and the
            # close frame would be lost with it.
            self.transport.write_eof()
        except (OSError, RuntimeError):
            self.transport.abort()  # the client has been quicker

    def abort(self) -> None:
        """Hang up at once."""
        self.ending = True
        self._forget()
        self.transport.abort()

    def _forget(self) -> None:
        """Let go of what has come and is not complete."""
        if self.reader is not None:
            self.reader = None
            self.engine.input.release(self)

    def carry(self, client: Client) -> None:
        """Carry a client from now on; frames go straight to the transport unless that is full."""
        self.client, client.socket = client, self
        client.write = None if self.full else self.transport.write
        if client.inbox:  # of what it sent before, which has to be done first
            self.hold(BUSY)

    def pause_writing(self) -> None:
        """The client does not read: from now on what waits for it is watched."""
        self.full = True
        if self.client is not None and self.client.write is not None:
            self.client.write = None
            self.client.refresh()

    def resume_writing(self) -> None:
        """The client has caught up: frames may go straight to the transport again."""
        self.full = False
        if self.client is not None and not self.client.closing:
            self.client.write = self.transport.write
            self.client.refresh()
            self.engine.backlogs.forget(self.client)
            self.client.has_read()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; nothing here may keep anything else alive."""
        self.ending = True
        self._forget()
        self.engine.connections.close()
        if self.acceptor is not None:
            self.acceptor.forget(self)
        self.engine.lost(self)
        self.client = self.prober = self.acceptor = None
