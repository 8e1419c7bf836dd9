"""Socket.IO packets: any text is parsed or refused, at a cost in proportion to its length."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from socket_host.transport.native.reasons import PacketError
from socket_host.transport.native.socket_packet import EVENT, Packet, Partial, parse, plain_event
from tests.fuzz.effort import examples
from tests.fuzz.target import Target

_KINDS = "0123456"
_LIMIT = 200_000  # bytes of a packet with its attachments


def check(data: bytes) -> None:
    """Check a text as a packet; the lines after the first are its attachments."""
    first, *attachments = data.split(b"\n", 1)
    check_text(first.decode(errors="replace"), attachments[0].split(b"\n") if attachments else [])


def check_text(text: str, attachments: list[bytes]) -> None:
    """Assert that both parsers agree, and that their result is complete and can be sent."""
    packet = _parsed(text)
    try:
        plain = plain_event(text)
    except PacketError:
        assert packet is None
    else:
        if plain is not None:
            assert packet == Packet(EVENT, "/", *plain)
    if packet is not None:
        assert packet.namespace.startswith("/")
        assert packet.kind in _KINDS[:5]
        json.dumps(packet.data, allow_nan=False).encode()  # does not raise
        if packet.attachments:
            _check_attachments(text, packet, attachments)


def _parsed(text: str) -> Packet | None:
    try:
        return parse(text)
    except PacketError:
        return None


def _check_attachments(text: str, packet: Packet, attachments: list[bytes]) -> None:
    partial = Partial(text, packet, _LIMIT)
    with pytest.raises(PacketError):
        Partial(text, packet, _LIMIT).add("text")
    for number, attachment in enumerate(attachments[: packet.attachments], 1):
        try:
            whole = partial.add(attachment)
        except PacketError:
            return
        assert (whole is not None) == (number == packet.attachments)
        if whole is not None:
            assert _placeholders(whole.data) == 0
            assert _binary(whole.data) <= sum(map(len, attachments))


def _placeholders(data: Any) -> int:
    if isinstance(data, list):
        return sum(map(_placeholders, data))
    if isinstance(data, dict):
        return (data.get("_placeholder") is True) + sum(map(_placeholders, data.values()))
    return 0


def _binary(data: Any) -> int:
    """Return the bytes of attachments in `data`."""
    if isinstance(data, list):
        return sum(map(_binary, data))
    if isinstance(data, dict):
        return sum(map(_binary, data.values()))
    return len(data) if isinstance(data, bytes) else 0


_words = ["[", "]", "{", "}", '"', ",", ":", "/", "?", "-", "0", "12", "5", "\\ud800", "null"]
_words += ["1e999", "NaN", "-Infinity", "true", '"_placeholder":true', '"num":', "\u0661", " "]
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
) | st.integers(-1, 3).map(lambda number: {"_placeholder": True, "num": number})
_packets = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(_KINDS),
    st.sampled_from(["", "1-", "2-", "10-", "11-", "-"]),
    st.sampled_from(["", "/a,", "/a?b=c,", "/,", "/"]),
    st.sampled_from(["", "0", "7", "123456789012345", "1234567890123456"]),
    _json.map(json.dumps) | st.lists(_json, max_size=3).map(json.dumps) | st.just(""),
)
_texts = _packets | st.lists(
    st.sampled_from([*_KINDS, *_words]) | st.text(max_size=3), max_size=9
).map("".join)

TARGET = Target("packets", check, tuple(word.encode() for word in [*_KINDS, *_words, "\n"]))


@examples(600)
@given(_texts, st.lists(st.binary(max_size=8), max_size=3))
@example('2["' + "[" * 100_000, [])
@example('2{"a":' * 50_000, [])
@example("2" + "9" * 100_000, [])
@example('2["x",' + "9" * 100_000 + "]", [])
def test_any_text(text: str, attachments: list[bytes]) -> None:
    """Any text is a packet or raises PacketError; the fast path and the full parser agree."""
    check_text(text, attachments)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 400 + ".0"])
def test_number_that_json_lacks_is_null(number: str) -> None:
    """A number too large for JSON becomes null, because browsers could not read it."""
    text = f'2["x",{number}]'
    assert parse(text).data == ["x", None]
    assert plain_event(text) == (None, ["x", None])


def test_attachment_is_sent_on_once() -> None:
    """A packet with attachments does not become larger when it is sent on."""
    places = ",".join(['{"_placeholder":true,"num":0}'] * 100)
    text = f'51-["x",{places}]'
    with pytest.raises(PacketError):
        Partial(text, parse(text), _LIMIT).add(bytes(1_000))


def test_attachments_have_one_limit_with_their_packet() -> None:
    """Text and attachments together share the limit on a message."""
    text = '52-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
    partial = Partial(text, parse(text), len(text) + 10)
    assert partial.add(bytes(6)) is None
    with pytest.raises(PacketError):
        partial.add(bytes(5))
