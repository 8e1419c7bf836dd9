"""WebSocket frames are read according to RFC 6455, however the bytes arrive."""

from __future__ import annotations

import codecs

from hypothesis import given
from hypothesis import strategies as st

from socket_host.transport.native.frames import (
    FrameError,
    FrameReader,
    close_code,
    short_texts,
    utf8,
)
from tests.fuzz.effort import examples
from tests.fuzz.target import Choices, Target
from tests.kit.protocol_client import frame

_LIMIT = 300  # bytes of a message
_HEADER = 14  # bytes at most

Read = tuple[list[tuple[int, bytes]], int]  # messages, and the code of the error after them, or 0


def check(data: bytes) -> None:
    """Check bytes as a client's; the first ones determine how they are split."""
    choices = Choices(data)
    cuts = choices.bytes(choices.number(8))
    check_stream(choices.rest(), cuts)


def check_stream(stream: bytes, cuts: bytes) -> None:
    """Assert that bytes are read according to the specification, at once or in pieces."""
    expected, error = reference(stream)
    reader = FrameReader(_LIMIT)
    received: list[tuple[int, bytes]] = []
    code = 0
    try:
        for piece in Choices(cuts).cut(stream):
            _take(reader.feed(piece), received)
            while reader.more:
                _take(reader.feed(b""), received)
    except FrameError as broken:
        code = broken.code
    assert code == error
    assert received == expected
    _check_short(stream)
    for opcode, payload in received:
        _check_content(opcode, payload)


def _take(messages: list[tuple[int, bytes]], received: list[tuple[int, bytes]]) -> None:
    """Handle messages as a websocket does: texts in one frame are checked only here."""
    for opcode, payload in messages:
        if opcode == 1:
            utf8(payload)
        received.append((opcode, payload))


def _check_short(stream: bytes) -> None:
    expected, error = reference(stream, texts=False)
    short, at = short_texts(stream, _LIMIT)
    assert at <= len(stream)
    assert short == expected[: len(short)]
    assert reference(stream[at:], texts=False) == (expected[len(short) :], error)


def _check_content(opcode: int, payload: bytes) -> None:
    try:
        code = close_code(payload) if opcode == 8 else len(utf8(payload))
    except FrameError as broken:
        assert broken.code in (1002, 1007)  # noqa: PT017 - may not come
    else:
        assert opcode != 8 or code == 1005 or 1000 <= code < 5000


def reference(stream: bytes, *, texts: bool = True) -> Read:
    """Return how RFC 6455 reads a client's bytes; written for clarity, not for speed.

    Without `texts`, the content of texts is not checked.
    """
    messages: list[tuple[int, bytes]] = []
    at, kind, parts = 0, 0, b""
    while len(stream) - at >= 2:
        first, second = stream[at : at + 2]
        opcode = first & 15
        if _is_wrong(first, second, kind):
            return messages, 1002
        size, start = _size(stream, at)
        if size < 0:
            return messages, 1002
        if opcode < 8 and len(parts) + size > _LIMIT:
            return messages, 1009
        mask, end = stream[start : start + 4], start + 4 + size
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(stream[start + 4 : end]))
        whole = len(stream) >= end
        if texts and opcode < 8 and (opcode or kind) == 1:
            complete = bool(whole and first & 128)
            if not _is_text(parts + payload, complete=complete):
                return messages, 1007
        if not whole:
            break
        at = end
        if opcode >= 8:
            messages.append((opcode, payload))
            continue
        kind, parts = opcode or kind, parts + payload
        if first & 128:
            messages.append((kind, parts))
            kind, parts = 0, b""
    return messages, 0


def _is_text(data: bytes, *, complete: bool) -> bool:
    """Whether bytes are UTF-8, or, if incomplete, may become UTF-8."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data, complete)
    except UnicodeDecodeError:
        return False
    return True


def _is_wrong(first: int, second: int, kind: int) -> bool:
    """Whether a header is invalid; `kind` is that of the fragments before."""
    opcode = first & 15
    if first & 0x70 or not second & 128 or opcode not in (0, 1, 2, 8, 9, 10):
        return True
    if opcode >= 8:
        return not first & 128 or second & 127 > 125
    return (opcode == 0) != (kind != 0)


def _size(stream: bytes, at: int) -> tuple[int, int]:
    """Return a payload's size and the place of its mask; -1 if the length is not the shortest form.

    If the length is incomplete, the place is beyond the end.
    """
    size, start = stream[at + 1] & 127, at + 2
    if size <= 125:
        return size, start
    wide = 2 if size == 126 else 8
    if len(stream) < start + wide:
        return 0, len(stream)
    size = int.from_bytes(stream[start : start + wide], "big")
    return (size, start + wide) if size >= (126 if wide == 2 else 1 << 16) else (-1, 0)


_frames = st.builds(
    lambda payload, opcode, final, mask: frame(payload, opcode, final=final, mask=mask),
    st.binary(max_size=40) | st.sampled_from([125, 126, 127, 299, 300, 301]).map(bytes),
    st.sampled_from([1, 1, 1, 2, 0, 8, 9, 10, 3, 11]),
    st.sampled_from([True, True, True, False]),
    st.sampled_from([True] * 9 + [False]),
)
_headers = st.tuples(
    st.sampled_from([0x81, 0x82, 0x01, 0x80, 0x89, 0xC1]),
    st.sampled_from([0x80, 0xFD, 0xFE, 0xFF]),
    st.sampled_from([b"", b"\0\0", b"\0\x7e", b"\1\0\0\0\0\0\0\0", b"\0\0\0\0\0\1\0\0"]),
).map(lambda header: bytes(header[:2]) + header[2])
_streams = st.lists(_frames | _headers | st.binary(max_size=9), max_size=6).map(b"".join)

TARGET = Target(
    "frames",
    check,
    (
        b"\x81\x85\x00\x00\x00\x00",
        b"\x01\x80\x00\x00\x00\x00",
        b"\x80\x80\x00\x00\x00\x00",
        b"\x88\x82\x00\x00\x00\x00\x03\xe8",
        b"\x89\x80",
        b"\x82\xfe\x00~",
        b"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00",
        b"\xff",
    ),
)


@examples(300)
@given(_streams, st.binary(max_size=8))
def test_any_bytes(stream: bytes, cuts: bytes) -> None:
    """Frames are read according to the specification, in whatever pieces they arrive."""
    check_stream(stream, cuts)
