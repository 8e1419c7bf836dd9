"""WebSocket frames (RFC 6455): reading a client's, and writing the server's.

There is no library underneath, because it would take more memory than everything else about an idle
client: see docs/performance.md.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_FINAL, _RESERVED, _OPCODE, _MASKED, _LENGTH = 0x80, 0x70, 0x0F, 0x80, 0x7F
_CONTROL = 0x8  # opcodes from here on are control frames
_SMALL = 125  # the longest payload with a one-byte length, and of any control frame

_UNCOUNTED = 256  # bytes that may arrive in small pieces before they are counted as partial input

_STARTS = {126: 8, 127: 14}  # where the payload of a masked frame begins, if not at 6

NORMAL, PROTOCOL_ERROR, NO_STATUS = 1000, 1002, 1005
BAD_DATA, POLICY, TOO_BIG = 1007, 1008, 1009

_SHORT = [bytes((_FINAL | TEXT, size)) for size in range(_SMALL + 1)]  # headers by payload size

_OWN_CODES = range(3000, 5000)  # for libraries and applications
_DEFINED_CODES = frozenset([1000, 1001, 1002, 1003, *range(1007, 1015)])


class FrameError(Exception):
    """A client broke the WebSocket protocol; `code` is for the close frame to send it."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def frame(opcode: int, payload: bytes) -> bytes:
    """Return one final, unmasked frame, as servers send them."""
    size = len(payload)
    if size <= _SMALL:
        return bytes((_FINAL | opcode, size)) + payload
    if size < 1 << 16:
        return bytes((_FINAL | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((_FINAL | opcode, 127)) + size.to_bytes(8, "big") + payload


def packet_frame(packet: str | bytes) -> bytes:
    """Return the frame for one Engine.IO packet: a text frame, or a binary one for bytes."""
    if not isinstance(packet, str):
        return frame(BINARY, packet)
    payload = packet.encode()
    return _SHORT[size] + payload if (size := len(payload)) <= _SMALL else frame(TEXT, payload)


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close frame; the reason is cut to what fits into a control frame."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode()[: _SMALL - 2])


def own_frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the opcode and the payload of each frame in data that this module has made."""
    at = 0
    while at < len(data):
        opcode, size = data[at] & _OPCODE, data[at + 1]
        at += 2
        if size > _SMALL:
            width = 2 if size == 126 else 8
            size = int.from_bytes(data[at : at + width], "big")
            at += width
        yield opcode, data[at : at + size]
        at += size


def unmask(payload: bytes | bytearray, mask: bytes) -> bytes:
    """Undo a client's mask: an exclusive or, on integers of the payload's size for speed."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(
        size, "little"
    )


def close_code(payload: bytes) -> int:
    """Return the code of a close frame, or raise FrameError if the frame is invalid."""
    if not payload:
        return NO_STATUS
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (code in _DEFINED_CODES or code in _OWN_CODES):
        raise FrameError(PROTOCOL_ERROR, "invalid close code")
    utf8(payload[2:])
    return code


def utf8(payload: bytes) -> str:
    """Return the text of a text frame, or raise FrameError."""
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise FrameError(BAD_DATA, "invalid UTF-8") from None


def short_texts(
    data: bytes, limit: int, most: int = sys.maxsize
) -> tuple[list[tuple[int, bytes]], int]:
    """Return the complete, short text messages at the start of `data`, and where they end.

    This is a fast path, since nearly all frames are like that. It stops after `most` messages, or
    at the first frame of another kind, which needs a FrameReader.
    """
    messages: list[tuple[int, bytes]] = []
    at, available, longest = 0, len(data), min(_SMALL, limit)
    while at + 6 <= available and data[at] == _FINAL | TEXT and len(messages) < most:
        start = at + 6
        size = data[at + 1] ^ _MASKED  # larger than `longest` if the frame is not masked
        if size > longest or start + size > available:
            break
        at = start + size
        messages.append((TEXT, unmask(data[start:at], data[start - 4 : start])))
    return messages, at


_Decoder = codecs.getincrementaldecoder("utf-8")


class FrameReader:
    """Splits a client's bytes into messages and control frames.

    `limit` is how many bytes a message may have, all its fragments together.
    """

    __slots__ = (
        "_checks",
        "_decoder",
        "_error",
        "_need",
        "_opcode",
        "_partial",
        "_parts",
        "_rest",
        "_wake",
        "frames",
        "limit",
        "more",
    )

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.more = False  # whether `feed(b"")` has more to return
        self.frames = 0  # read by the last `feed`
        self._rest = bytearray()  # input that has not been parsed
        self._need = 2  # bytes in `_rest` that complete the next frame, or its header
        self._wake = 2  # bytes in `_rest` at which there is something to do
        self._opcode = CONTINUATION  # of the fragmented message, if there is one
        self._parts = bytearray()  # its payload so far
        self._error: FrameError | None = None  # to raise at the next `feed`
        # A text message is checked before it is complete. Of an incomplete frame, `_partial` has
        # the payload that has been checked; only the header and later payload are in `_rest`.
        self._decoder: codecs.IncrementalDecoder | None = None
        self._partial = bytearray()
        self._checks = 0  # of that frame

    def fail(self, error: FrameError) -> None:
        """Make the next `feed` raise an error, after the messages before it have been handled."""
        self.more = True
        self._wake = 0
        self._error = error
        self._rest.clear()

    @property
    def idle(self) -> bool:
        """Whether no part of a frame or message is left over."""
        return not self._rest and self._opcode == CONTINUATION

    def __len__(self) -> int:
        """Return how many bytes are held."""
        return len(self._rest) + len(self._partial) + len(self._parts)

    def store(self, data: bytes) -> bool:
        """Store `data` if it completes nothing; return whether it was stored.

        Otherwise call `feed`, which would store it too, but far more slowly.
        """
        if len(self._rest) + len(data) >= self._wake:
            return False
        self._rest += data
        return True

    def feed(
        self, data: bytes, most: int = sys.maxsize, size: int = sys.maxsize
    ) -> list[tuple[int, bytes]]:
        """Parse `data`, and return the complete messages, as pairs of opcode and payload.

        Reads at most `most` frames, and stops once they have `size` bytes; the rest stays for the
        next call. Raises FrameError at the first invalid byte, but returns the messages before it
        first, in a call of its own.
        """
        # Parsed only when a frame may be complete, so that a long message which is sent byte by
        # byte is not parsed for every byte.
        self._rest += data
        self.frames = 0
        messages: list[tuple[int, bytes]] = []
        try:
            if self._error is not None:
                raise self._error
            if len(self._rest) >= self._need:
                self._parse(messages, most, size)
            self._take_partial()
        except FrameError as error:
            self.more = False
            if not messages:
                raise
            self.fail(error)
        return messages

    def _parse(self, messages: list[tuple[int, bytes]], most: int, size: int) -> None:
        buffer, at, end, need = self._rest, 0, len(self._rest), 0
        try:
            while (need := self._missing(buffer, at)) and at + need <= end:
                if self.frames >= most or at >= size:
                    break
                self._take(buffer, at, need, messages)
                at += need
                self.frames += 1
        finally:
            del buffer[:at]
        self.more = bool(need) and at + need <= end
        self._need = need or end - at + 1

    def _missing(self, buffer: bytearray, at: int) -> int:
        """Return the size of the frame at `at`, less what has been taken out of the buffer."""
        size = self._frame_size(buffer, at)
        return size - len(self._partial) if at == 0 and size else size

    def _frame_size(self, buffer: bytearray, at: int) -> int:
        """Return the size of the frame that begins at `at`, or 0 if its header is incomplete."""
        available = len(buffer) - at
        if available < 2:
            return 0
        first, second = buffer[at], buffer[at + 1]
        self._check_header(first, second)
        length = second & _LENGTH
        if length <= _SMALL:
            return 6 + self._checked_length(first, length)
        width = 2 if length == 126 else 8
        if available < 2 + width:
            return 0
        length = int.from_bytes(buffer[at + 2 : at + 2 + width], "big")
        if length <= _SMALL or (width == 8 and length < 1 << 16):
            raise FrameError(PROTOCOL_ERROR, "length not in its shortest form")
        return 6 + width + self._checked_length(first, length)

    def _check_header(self, first: int, second: int) -> None:
        opcode = first & _OPCODE
        if first & _RESERVED:
            raise FrameError(PROTOCOL_ERROR, "reserved bits are set")
        if not second & _MASKED:
            raise FrameError(PROTOCOL_ERROR, "frame is not masked")
        if opcode >= _CONTROL:
            if opcode > PONG:
                raise FrameError(PROTOCOL_ERROR, "unknown opcode")
            if not first & _FINAL or second & _LENGTH > _SMALL:
                raise FrameError(PROTOCOL_ERROR, "control frame is fragmented or too long")
        elif opcode > BINARY:
            raise FrameError(PROTOCOL_ERROR, "unknown opcode")
        elif (opcode == CONTINUATION) == (self._opcode == CONTINUATION):
            raise FrameError(PROTOCOL_ERROR, "fragments are out of order")

    def _checked_length(self, first: int, length: int) -> int:
        if first & _OPCODE < _CONTROL and len(self._parts) + length > self.limit:
            raise FrameError(TOO_BIG, f"message is longer than {self.limit} bytes")
        return length

    def _take(
        self, buffer: bytearray, at: int, size: int, messages: list[tuple[int, bytes]]
    ) -> None:
        first = buffer[at]
        start = at + _STARTS.get(buffer[at + 1] & _LENGTH, 6)
        last = unmask(buffer[start : at + size], self._mask(buffer, start))
        payload = last
        if self._partial:  # of this frame, since it is always the first in the buffer
            payload, self._partial = bytes(self._partial) + last, bytearray()
            self._checks = 0
        opcode = first & _OPCODE
        if opcode >= _CONTROL:
            messages.append((opcode, payload))
            return
        if first & _FINAL and opcode != CONTINUATION:  # the caller decodes, and so checks, it
            self._decoder = None
            messages.append((opcode, payload))
            return
        self._opcode = opcode or self._opcode
        if self._opcode == TEXT:
            self._check(last)
        self._parts += payload
        if first & _FINAL:
            messages.append((self._opcode, bytes(self._parts)))
            self._opcode, self._parts, self._decoder = CONTINUATION, bytearray(), None

    def _mask(self, buffer: bytearray, end: int) -> bytes:
        """Return the mask that ends at `end`, rotated by the length of `_partial`."""
        mask = bytes(buffer[end - 4 : end])
        turn = len(self._partial) % 4
        return mask[turn:] + mask[:turn] if turn else mask

    def _check(self, text: bytes) -> None:
        """Raise FrameError if this cannot be the next part of a UTF-8 text."""
        if self._decoder is None:
            self._decoder = _Decoder()
        try:
            self._decoder.decode(text)
        except UnicodeDecodeError:
            raise FrameError(BAD_DATA, "invalid UTF-8") from None

    def _take_partial(self) -> None:
        """Move the payload of an incomplete text frame to `_partial`, and check it."""
        rest = self._rest
        self._wake = 0 if self.more else min(self._need, len(rest) + _UNCOUNTED)
        if self.more or len(rest) < 2 or rest[0] & _OPCODE >= _CONTROL:
            return
        if TEXT not in (rest[0] & _OPCODE, self._opcode):
            return
        start = _STARTS.get(rest[1] & _LENGTH, 6)
        if len(rest) >= self._next_check(start):
            part = unmask(rest[start:], self._mask(rest, start))
            self._need -= len(part)
            del rest[start:]
            self._partial += part
            self._check(part)
            self._checks += 1
        self._wake = min(self._need, self._next_check(start), len(rest) + _UNCOUNTED)

    def _next_check(self, start: int) -> int:
        """Return the size of `_rest` at which to check the text in it.

        The intervals between checks grow, so that a long frame sent byte by byte is rarely checked,
        while each of a few pieces is checked at once.
        """
        return start + max(1, 4 * self._checks * self._checks - len(self._partial))
