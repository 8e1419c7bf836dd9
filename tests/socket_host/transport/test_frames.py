"""WebSocket frames: valid ones are read, invalid ones get the right close code."""

import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from socket_host.transport.native import frames
from socket_host.transport.native.frames import FrameError, FrameReader
from tests.kit.protocol_client import BINARY, CLOSE, PING, PONG, TEXT, frame

LIMIT = 100_000


def read(data: bytes, limit: int = LIMIT) -> list[tuple[int, bytes]]:
    """Return everything that a reader reads from some bytes."""
    reader = FrameReader(limit)
    messages = reader.feed(data)
    while reader.more:
        messages += reader.feed(b"")
    return messages


def code(data: bytes, limit: int = LIMIT) -> int:
    """Return the close code with which bytes are refused."""
    with pytest.raises(FrameError) as error:
        read(data, limit)
    return error.value.code


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 99_999])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_message_of_any_size_arrives(size: int, opcode: int) -> None:
    """A message of any length arrives complete."""
    payload = os.urandom(size)
    assert read(frame(payload, opcode)) == [(opcode, payload)]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_server_frames_have_the_shortest_length(size: int) -> None:
    """The server's frames are final and unmasked, with the shortest form of the length."""
    expected = frame(bytes(size), BINARY, mask=False)
    assert frames.frame(BINARY, bytes(size)) == expected


@given(
    st.lists(st.binary(max_size=300), min_size=1, max_size=6),
    st.lists(st.integers(1, 200), min_size=1),
)
def test_fragments_and_chunks_do_not_matter(parts: list[bytes], cuts: list[int]) -> None:
    """A message is the same, whatever its fragments and TCP segments."""
    stream = b""
    for place, part in enumerate(parts):
        opcode = BINARY if place == 0 else 0
        stream += frame(part, opcode, final=place == len(parts) - 1)
        stream += frame(b"beat", PING)  # control frames may be between fragments
    reader, messages = FrameReader(LIMIT), []
    while stream:
        size = cuts[len(stream) % len(cuts)]
        messages += reader.feed(stream[:size])
        stream = stream[size:]
    assert [m for m in messages if m[0] != PING] == [(BINARY, b"".join(parts))]
    assert messages.count((PING, b"beat")) == len(parts)
    assert reader.idle


@given(
    st.lists(st.text(max_size=300), min_size=1, max_size=4),
    st.lists(st.integers(1, 30), min_size=1),
)
def test_pieces_that_wait(parts: list[str], cuts: list[int]) -> None:
    """Incomplete input is joined with the rest, counted early, and checked if it is text."""
    texts = [part.encode() for part in parts]
    fine = frame(texts[0], final=False)
    fine += b"".join(frame(text, 0, final=False) for text in texts[1:]) + frame(b"", 0)
    for stream in (fine, fine[:-6] + frame(b"\xff" + bytes(99), 0)):
        reader, messages, unseen = FrameReader(LIMIT), [], 0
        try:
            while stream:
                size = cuts[len(stream) % len(cuts)]
                if reader.store(stream[:size]):
                    unseen += size
                else:
                    messages += reader.feed(stream[:size])
                    unseen = 0
                assert unseen < 256
                stream = stream[size:]
        except FrameError as error:
            assert error.code == frames.BAD_DATA  # noqa: PT017 - only for invalid text
            assert len(stream) >= 50, "it was checked too late"
        else:
            assert messages == [(TEXT, b"".join(texts))]
            assert reader.idle


_whole = st.builds(frame, st.binary(max_size=130), st.sampled_from([TEXT, BINARY, PING]))


@given(st.lists(_whole | st.binary(max_size=12), max_size=6).map(b"".join))
def test_short_texts_are_what_a_reader_reads(stream: bytes) -> None:
    """The fast path and the reader agree on any bytes, including invalid ones."""
    short, at = frames.short_texts(stream, 64)
    try:
        expected = read(stream, limit=64)
    except FrameError as error:
        with pytest.raises(FrameError, match=error.reason):
            read(stream[at:], limit=64)
    else:
        assert short + read(stream[at:], limit=64) == expected


@given(st.binary(max_size=400), st.integers(1, 50))
@example(b"\x01\x81\0\0\0\0\x80", 1)
def test_any_bytes(data: bytes, size: int) -> None:
    """Any bytes are read or refused with FrameError, and nothing is kept."""
    reader = FrameReader(64)
    try:
        for at in range(0, len(data), size):
            for opcode, payload in reader.feed(data[at : at + size]):
                assert opcode in (TEXT, BINARY, CLOSE, PING, PONG)
                assert len(payload) <= 125
    except FrameError as error:
        assert error.code in (frames.PROTOCOL_ERROR, frames.BAD_DATA, frames.TOO_BIG)  # noqa: PT017 - may not come


@given(st.binary(max_size=200), st.binary(min_size=4, max_size=4))
def test_mask_is_undone(payload: bytes, mask: bytes) -> None:
    """Unmasking is the specification's exclusive or, for every length."""
    masked = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
    assert frames.unmask(masked, mask) == payload


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(b"x", mask=False), id="not masked"),
        pytest.param(b"\xc1" + frame(b"x")[1:], id="reserved bit, as a compressed message has"),
        pytest.param(frame(b"x", 0x3), id="unknown data opcode"),
        pytest.param(frame(b"x", 0xB), id="unknown control opcode"),
        pytest.param(frame(b"x", 0), id="continuation of nothing"),
        pytest.param(frame(b"x", final=False) + frame(b"y"), id="message inside a message"),
        pytest.param(frame(b"x", PING, final=False), id="control frame in fragments"),
        pytest.param(frame(bytes(126), PING), id="control frame too long"),
        pytest.param(b"\x81\xfe\x00\x05" + bytes(9), id="length of two bytes where one does"),
        pytest.param(
            b"\x81\xff" + (300).to_bytes(8, "big") + bytes(304),
            id="length of eight bytes where two do",
        ),
    ],
)
def test_protocol_errors(data: bytes) -> None:
    """Invalid bytes are refused with 1002."""
    assert code(data) == frames.PROTOCOL_ERROR


def test_too_long_is_refused_by_its_header() -> None:
    """A message over the limit is refused as soon as its length is known."""
    assert code(frame(bytes(65))[:6], limit=64) == frames.TOO_BIG
    assert code(b"\x81\xff" + (1 << 63).to_bytes(8, "big")) == frames.TOO_BIG


def test_fragments_count_together() -> None:
    """The limit applies to a message, not to its fragments."""
    assert code(frame(bytes(40), final=False) + frame(bytes(40), 0), limit=64) == frames.TOO_BIG


@pytest.mark.parametrize(
    ("payload", "expected"),
    [(b"", 1005), (b"\x03\xe8", 1000), (b"\x03\xe9bye", 1001), (b"\x0b\xb8", 3000)],
)
def test_close_codes_are_read(payload: bytes, expected: int) -> None:
    """The code of a close frame is returned; without one it is 1005."""
    assert frames.close_code(payload) == expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        pytest.param(b"\x03", frames.PROTOCOL_ERROR, id="half a code"),
        pytest.param((999).to_bytes(2, "big"), frames.PROTOCOL_ERROR, id="no such code"),
        pytest.param((1005).to_bytes(2, "big"), frames.PROTOCOL_ERROR, id="never on the wire"),
        pytest.param((5000).to_bytes(2, "big"), frames.PROTOCOL_ERROR, id="beyond all codes"),
        pytest.param(b"\x03\xe8\xff", frames.BAD_DATA, id="reason is not UTF-8"),
    ],
)
def test_wrong_close_frames_are_refused(payload: bytes, expected: int) -> None:
    """A close frame with an invalid code, or a reason that is not text, is an error."""
    with pytest.raises(FrameError) as error:
        frames.close_code(payload)
    assert error.value.code == expected


def test_long_reason_fits_its_frame() -> None:
    """A reason that is too long for a control frame is cut."""
    assert len(frames.close_frame(1000, "x" * 500)) == 2 + 125
