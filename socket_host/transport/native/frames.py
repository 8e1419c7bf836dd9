"""WebSocket frames (RFC 6455): reading those of a client, writing those of the server.

No library: measured, `websockets.server.ServerProtocol` takes 3.6 KB a connection, more than all
else about an idle client, and more than twice the time per message.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_FINAL, _RESERVED, _OPCODE, _MASKED, _LENGTH = 0x80, 0x70, 0x0F, 0x80, 0x7F
_CONTROL = 0x8  # opcodes from here on are control frames
_SMALL = 125  # the longest payload with a one-byte length, and of any control frame

_UNSEEN = 256  # bytes that may arrive in small pieces before they count towards the budget

_STARTS = {126: 8, 127: 14}  # where the payload of a masked frame begins, if not at 6

NORMAL, PROTOCOL_ERROR, NO_STATUS = 1000, 1002, 1005
BAD_DATA, POLICY, TOO_BIG = 1007, 1008, 1009

_SHORT = [bytes((_FINAL | TEXT, size)) for size in range(_SMALL + 1)]  # headers by payload size

_OWN_CODES = range(3000, 5000)  # for libraries and applications
_DEFINED_CODES = frozenset([1000, 1001, 1002, 1003, *range(1007, 1015)])


class FrameError(Exception):
    """A client broke the WebSocket protocol; `code` is what its close frame says."""

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
    """Return the frame for one Engine.IO packet: text, or binary for a binary message."""
    if not isinstance(packet, str):
        return frame(BINARY, packet)
    payload = packet.encode()
    return _SHORT[size] + payload if (size := len(payload)) <= _SMALL else frame(TEXT, payload)


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close frame; the reason is cut to what a control frame can carry."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode()[: _SMALL - 2])


def own_frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the opcode and the payload of each frame in what this module has written."""
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
    """Undo a client's mask, as one exclusive-or of two long integers."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(
        size, "little"
    )


def close_code(payload: bytes) -> int:
    """Return the code a close frame carries, or raise FrameError if it must not carry it."""
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
    """Return the whole, short text messages at the start of `data`, and where they end.

    This is the fast path for what nearly all frames are. It stops after `most` messages, and at
    the first frame that is anything else, which is for a FrameReader.
    """
    messages: list[tuple[int, bytes]] = []
    at, available, longest = 0, len(data), min(_SMALL, limit)
    while at + 6 <= available and data[at] == _FINAL | TEXT and len(messages) < most:
        start = at + 6
        size = data[at + 1] ^ _MASKED  # too long if it is not masked
        if size > longest or start + size > available:
            break
        at = start + size
        messages.append((TEXT, unmask(data[start:at], data[start - 4 : start])))
    return messages, at


_Decoder = codecs.getincrementaldecoder("utf-8")


class FrameReader:
    """Cuts a client's bytes into messages and control frames.

    `limit` is the most bytes a message may have, its fragments together.
    """

    __slots__ = (
        "_begun",
        "_broken",
        "_checks",
        "_decoder",
        "_need",
        "_opcode",
        "_parts",
        "_rest",
        "_wake",
        "frames",
        "limit",
        "more",
    )

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.more = False  # True if `feed(b"")` has more to return
        self.frames = 0  # read by the last `feed`
        self._rest = bytearray()
        self._need = 2
        self._wake = 2  # bytes in `_rest` at which there is something to do
        self._opcode = CONTINUATION
        self._parts = bytearray()
        self._broken: FrameError | None = None
        # Of a text message that is not complete: what checks it, and the payload so far of a frame
        # of which only the header is still in `_rest`.
        self._decoder: codecs.IncrementalDecoder | None = None
        self._begun = bytearray()
        self._checks = 0  # of that frame

    def fail(self, error: FrameError) -> None:
        """Raise an error at the next `feed`, once what came before it is done."""
        self.more = True
        self._wake = 0
        self._broken = error
        self._rest.clear()

    @property
    def idle(self) -> bool:
        """True if nothing is left over: no part of a frame, no part of a message."""
        return not self._rest and self._opcode == CONTINUATION

    def __len__(self) -> int:
        """Return how many bytes are held."""
        return len(self._rest) + len(self._begun) + len(self._parts)

    def wait(self, data: bytes) -> bool:
        """Store `data` if it completes nothing, and tell whether it was stored; else call `feed`.

        `feed` stores it too, but takes far longer if a client sends byte by byte.
        """
        if len(self._rest) + len(data) >= self._wake:
            return False
        self._rest += data
        return True

    def feed(
        self, data: bytes, most: int = sys.maxsize, size: int = sys.maxsize
    ) -> list[tuple[int, bytes]]:
        """Take `data`, and return the messages that are complete, as pairs of opcode and payload.

        Reads at most `most` frames, and stops once they have `size` bytes; the rest stays for the
        next call. Raises FrameError at the first byte that is wrong, after a call that returned
        what came before it.
        """
        # Collected first and parsed only when enough is there: a client that sends a long
        # message byte by byte must not make us look at it for every byte.
        self._rest += data
        self.frames = 0
        messages: list[tuple[int, bytes]] = []
        try:
            if self._broken is not None:
                raise self._broken
            if len(self._rest) >= self._need:
                self._parse(messages, most, size)
            self._begin()
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
        """Return the size of the frame at `at`, but for what has been taken out of the buffer."""
        size = self._frame_size(buffer, at)
        return size - len(self._begun) if at == 0 and size else size

    def _frame_size(self, buffer: bytearray, at: int) -> int:
        """Return the size of the frame that begins at `at`, or 0 if that cannot be told yet."""
        available = len(buffer) - at
        if available < 2:
            return 0
        first, second = buffer[at], buffer[at + 1]
        self._check_header(first, second)
        length = second & _LENGTH
        if length <= _SMALL:
            return 6 + self._allowed(first, length)
        width = 2 if length == 126 else 8
        if available < 2 + width:
            return 0
        length = int.from_bytes(buffer[at + 2 : at + 2 + width], "big")
        if length <= _SMALL or (width == 8 and length < 1 << 16):
            raise FrameError(PROTOCOL_ERROR, "length not in its shortest form")
        return 6 + width + self._allowed(first, length)

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

    def _allowed(self, first: int, length: int) -> int:
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
        if self._begun:  # of this frame, for none can come before it
            payload, self._begun = bytes(self._begun) + last, bytearray()
            self._checks = 0
        opcode = first & _OPCODE
        if opcode >= _CONTROL:
            messages.append((opcode, payload))
            return
        if first & _FINAL and opcode != CONTINUATION:  # whoever takes it checks the whole text
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
        """Return the mask that ends there, turned by what of its frame is done already."""
        mask = bytes(buffer[end - 4 : end])
        turn = len(self._begun) % 4
        return mask[turn:] + mask[:turn] if turn else mask

    def _check(self, text: bytes) -> None:
        """Raise FrameError if this cannot be the next part of a text message."""
        if self._decoder is None:
            self._decoder = _Decoder()
        try:
            self._decoder.decode(text)
        except UnicodeDecodeError:
            raise FrameError(BAD_DATA, "invalid UTF-8") from None

    def _begin(self) -> None:
        """Take and check what has come of a text frame that is not complete."""
        rest = self._rest
        self._wake = 0 if self.more else min(self._need, len(rest) + _UNSEEN)
        if self.more or len(rest) < 2 or rest[0] & _OPCODE >= _CONTROL:
            return
        if TEXT not in (rest[0] & _OPCODE, self._opcode):
            return
        start = _STARTS.get(rest[1] & _LENGTH, 6)
        if len(rest) >= self._due(start):
            part = unmask(rest[start:], self._mask(rest, start))
            self._need -= len(part)
            del rest[start:]
            self._begun += part
            self._check(part)
            self._checks += 1
        self._wake = min(self._need, self._due(start), len(rest) + _UNSEEN)

    def _due(self, start: int) -> int:
        """Return the size of `_rest` at which the text in it is checked next.

        Each check of a frame waits for more of it than the one before, so that a long frame sent
        byte by byte is checked seldom, and a few pieces of a short one are each checked at once.
        """
        return start + max(1, 4 * self._checks * self._checks - len(self._begun))
