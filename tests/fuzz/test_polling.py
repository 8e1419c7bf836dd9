"""Polling: the packets in any POST arrive unchanged, or the session ends."""

from __future__ import annotations

import base64
import binascii
import re

from hypothesis import example, given
from hypothesis import strategies as st

from socket_host.transport.native.message import SEPARATOR
from tests.fuzz.effort import examples
from tests.fuzz.network import Network, answer
from tests.fuzz.target import Choices, Target
from tests.fuzz.world import Stage

_PAYLOAD = 5_000  # bytes of one POST
_UNJOINED = 4_096  # the same, before joining


def check(data: bytes) -> None:
    """Check bytes as a body, in pieces."""
    choices = Choices(data)
    cuts = choices.bytes(choices.number(4))
    body = choices.rest().replace(b"|", SEPARATOR.encode())
    for joined in (False, True):
        check_body(body, cuts, joined)


def check_body(body: bytes, cuts: bytes, joined: bool) -> None:
    """Assert that a POST gets a response and which packets arrive, before or after joining."""
    with Network(Stage, max_payload=_PAYLOAD, recovery_seconds=0) as network:
        engine = network.host.sio.eio.engine
        received: list[str | bytes] = []
        sid = network.poll()
        if joined:
            assert answer(network.ask(f"&sid={sid}", b"40")) == (200, "ok")
        most = _PAYLOAD if joined else _UNJOINED
        take = engine.packet

        def packet(client: object, packet: str | bytes) -> None:
            received.append(packet)
            take(client, packet)

        engine.packet = packet
        honest = network.joined()
        received.clear()
        head = f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\n"
        connection = network.connect()
        connection.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
        connection.send(*Choices(cuts).cut(body))
        status, text = answer(connection)
        network.healthy()
        assert status in (200, 400, 413)
        assert (status == 413) == (len(body) > most)
        expected = _packets(body) if status != 413 else []
        if len(expected) > engine.limits.packet_burst:
            assert (status, received) == (400, []), "too many packets"
        assert received == expected[: len(received)]
        if status == 200:
            assert text == "ok"
            assert sid not in engine.clients or received == expected
            assert joined or _is_connect(received) or sid not in engine.clients
        honest.send('420["echo"]')
        assert "430[]" in honest.receive()
        if status != 200:
            network.loop.move(60)
            assert sid not in engine.clients


def _bytes(text: bytes) -> bytes:
    """Decode base64 as Node does, except for invalid characters."""
    text = re.sub(rb"[ \t\r\n]", b"", text).rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
    return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)


def _is_connect(packets: list[str | bytes]) -> bool:
    """Whether the first message in packets is a CONNECT, if there is a message."""
    messages = (one for one in packets if isinstance(one, bytes) or one[:1] == "4")
    return str(next(messages, "40")).startswith("40")


def _packets(body: bytes) -> list[str | bytes]:
    """Return the packets of a body as in Engine.IO's specification; none if one is invalid."""
    packets: list[str | bytes] = []
    try:
        for text in body.decode().split(SEPARATOR):
            data = text[1:].encode()
            packets.append(_bytes(data) if text[:1] == "b" else text)
    except (UnicodeDecodeError, binascii.Error):
        return []
    return packets


_words = [
    "40",
    '42["echo",1]',
    "1",
    "3",
    "6",
    "2",
    "5",
    "bAAA=",
    "bAAAA",
    "b",
    "b=",
    "b\n",
    "",
    "0",
]
_words += ['451-["say",{"_placeholder":true,"num":0}]', "41", "4", "\ud800", "\U0001f98a"]
_bodies = st.lists(st.sampled_from(_words) | st.text(max_size=4), max_size=6).map(
    lambda words: SEPARATOR.join(words).encode(errors="surrogatepass")
)

TARGET = Target(
    "polling", check, (*(word.encode(errors="surrogatepass") for word in _words), b"|", b"\xff")
)


@examples(100)
@given(_bodies | st.binary(max_size=20), st.binary(max_size=4), st.booleans())
@example(b"6" * _PAYLOAD, b"", True)
@example(b"6" * (_PAYLOAD + 1), b"", True)
@example(b"6" * _UNJOINED, b"", False)
@example(b"6" * (_UNJOINED + 1), b"", False)
@example(SEPARATOR.encode() * _PAYLOAD, b"", True)
@example(SEPARATOR.encode() * 500, b"", True)
@example(b"40" + b"\x1e41" * 600, b"", False)
def test_any_body(body: bytes, cuts: bytes, joined: bool) -> None:
    """A POST of any bytes gets a response; its packets arrive, and others are served."""
    check_body(body, cuts, joined)
