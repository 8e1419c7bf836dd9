"""The websocket of a client: handshake, frames and limits, byte by byte."""

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import partial

import pytest

from tests.kit.protocol_client import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Raw,
    frame,
    handshake,
    raw,
)
from tests.kit.protocol_server import protocol_server


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The port of a host with a limit of 1,000 bytes per message."""
    async with protocol_server(max_payload=1000) as host:
        yield host.port


@pytest.fixture
async def ws(port: int) -> AsyncIterator[Raw]:
    """A websocket that has joined the main namespace."""
    async with raw(port) as ws:
        await ws.upgrade()
        ws.send(frame(b"40"))
        assert (await ws.frame())[1].startswith(b"40{")
        assert (await ws.frame())[1] == b'42["auth",{}]'
        yield ws


async def test_handshake_accepts_the_key(port: int) -> None:
    """The accept header is what the specification computes from the key."""
    key = base64.b64encode(b"sixteen bytes ok").decode()
    async with raw(port) as ws:
        ws.send(handshake(Sec_WebSocket_Key=key))
        head = await ws.head()
    digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    assert f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n" in head


async def test_no_extension_is_accepted(port: int) -> None:
    """Compression, which takes much memory, is declined."""
    async with raw(port) as ws:
        ws.send(handshake(Sec_WebSocket_Extensions="permessage-deflate"))
        assert "extensions" not in (await ws.head()).lower()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec_WebSocket_Version": "8"}, 426),
        ({"Sec_WebSocket_Version": None}, 426),
        ({"Sec_WebSocket_Key": None}, 400),
        ({"Sec_WebSocket_Key": "short"}, 400),
        ({"Sec_WebSocket_Key": "not base64 at all!!!!!!=="}, 400),
        ({"Connection": "close"}, 400),
        ({"Host": None}, 400),
        ({"Bad Name": "x"}, 400),
        ({"X": "control\x01character"}, 400),
    ],
)
async def test_bad_handshakes_are_refused(
    port: int, headers: dict[str, str | None], status: int
) -> None:
    """A handshake that breaks RFC 6455 gets the status it prescribes, and the connection ends."""
    async with raw(port) as ws:
        ws.send(handshake(**headers))
        answer = await ws.rest()
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert (b"Sec-WebSocket-Version: 13" in answer) == (status == 426)


async def test_handshake_may_arrive_in_pieces(port: int) -> None:
    """Headers may arrive byte by byte."""
    async with raw(port) as ws:
        for byte in handshake():
            ws.send(bytes([byte]))
            await ws.writer.drain()
            await asyncio.sleep(0)
        assert "101" in await ws.head()


async def test_frames_may_follow_the_handshake_at_once(port: int) -> None:
    """Frames in the same segment as the handshake are not lost."""
    async with raw(port) as ws:
        ws.send(handshake() + frame(b"40") + frame(b'421["echo",1]'))
        await ws.head()
        received = [(await ws.frame())[1] for _ in range(4)]
        assert b"431[1]" in received


@pytest.mark.parametrize("size", [1, 90, 125, 126, 900])
async def test_message_of_any_length(ws: Raw, size: int) -> None:
    """Messages with every form of length are echoed completely."""
    ws.send(frame(b'421["echo","%s"]' % (b"x" * size)))
    assert await ws.frame() == (TEXT, b'431["%s"]' % (b"x" * size))


async def test_fragments_are_joined(ws: Raw) -> None:
    """A message in fragments is one message, with control frames answered in between."""
    ws.send(frame(b'421["ec', final=False) + frame(b"beat", PING) + frame(b"", 0, final=False))
    assert await ws.frame() == (PONG, b"beat")
    ws.send(frame(b'ho",1]', 0))
    assert await ws.frame() == (TEXT, b"431[1]")


async def test_several_messages_in_one_segment(ws: Raw) -> None:
    """Frames that arrive together are answered in order."""
    ws.send(b"".join(frame(b'42%d["echo",%d]' % (n, n)) for n in range(50)))
    for number in range(50):
        assert await ws.frame() == (TEXT, b"43%d[%d]" % (number, number))


async def test_answers_to_one_segment_are_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several messages of each client are answered in order, with one write per client."""
    written: list[bytes] = []
    async with protocol_server() as host, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(raw(host.port)) for _ in range(3)]
        for client in clients:
            await client.upgrade()
            client.send(frame(b"40"))
            while b"auth" not in (await client.frame())[1]:
                pass
        for client in host.sio.eio.engine.clients.values():
            client.write = partial(_note, written, client.write)
        for client in clients:
            client.send(b"".join(frame(b'42%d["echo",1]' % n) for n in range(1, 9)))
        for client in clients:
            answers = [(await client.frame())[1] for _ in range(8)]
            assert answers == [b"43%d[1]" % n for n in range(1, 9)]
    assert len(written) == 3


def _note(written: list[bytes], write: Callable[[bytes], None], data: bytes) -> None:
    written.append(data)
    write(data)


async def test_nothing_follows_the_close_frame(ws: Raw) -> None:
    """After the answer to a close frame nothing is written."""
    ws.send(frame(b'421["echo",1]') + frame(b'422["echo",2]') + frame(b"\x03\xe8", CLOSE))
    received = []
    while (message := await ws.frame())[0] != CLOSE:
        received.append(message[1])
    assert received in ([], [b"431[1]", b"432[2]"])  # depends on which handlers had run
    assert not await ws.reader.read()


async def test_message_cut_anywhere(ws: Raw) -> None:
    """A message may be split into two segments anywhere."""
    data = frame(b'421["echo","%s"]' % (b"x" * 200))
    for cut in (1, 2, 3, 5, 8, 9, 100, len(data) - 1):
        ws.send(data[:cut])
        await ws.writer.drain()
        await asyncio.sleep(0.005)
        ws.send(data[cut:])
        assert (await ws.frame())[1].startswith(b"431")


async def test_close_is_answered_with_its_code(ws: Raw) -> None:
    """A close frame is answered with a close frame, and the connection ends."""
    ws.send(frame(b"\x03\xe9going", CLOSE))
    assert await ws.frame() == (CLOSE, b"\x03\xe9")
    assert await ws.rest() == b""


async def test_close_without_code_is_answered(ws: Raw) -> None:
    """A close frame may be empty."""
    ws.send(frame(b"", CLOSE))
    assert (await ws.frame())[0] == CLOSE
    assert await ws.rest() == b""


async def test_unexpected_pong_is_ignored(ws: Raw) -> None:
    """Clients may send pongs without pings."""
    ws.send(frame(b"hello", PONG) + frame(b'421["echo",1]'))
    assert await ws.frame() == (TEXT, b"431[1]")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(frame(b'42["message"]', mask=False), 1002, id="not masked"),
        pytest.param(b"\xc1" + frame(b"x")[1:], 1002, id="reserved bit"),
        pytest.param(frame(b"x", 0x5), 1002, id="unknown opcode"),
        pytest.param(frame(b"x", 0), 1002, id="continuation of nothing"),
        pytest.param(frame(b"x", PING, final=False), 1002, id="ping in fragments"),
        pytest.param(frame(b"\x03", CLOSE), 1002, id="half a close code"),
        pytest.param(frame(b"4\xff\xfe"), 1007, id="short text that is not UTF-8"),
        pytest.param(frame(b"4" + b"\xed\xa0\x80" * 100), 1007, id="long text of surrogates"),
        pytest.param(frame(bytes(1001), BINARY), 1009, id="too long"),
        pytest.param(frame(bytes(900), final=False) + frame(bytes(900), 0), 1009, id="in parts"),
    ],
)
async def test_broken_frames_close(ws: Raw, data: bytes, code: int) -> None:
    """Invalid frames get the right close code, and the connection ends."""
    ws.send(data)
    assert await ws.close_code() == code
    await ws.rest()


async def test_server_hangs_up_after_a_close(ws: Raw) -> None:
    """After a close the server hangs up, even if the client keeps sending."""
    ws.send(frame(b"x", mask=False))
    assert await ws.close_code() == 1002
    ws.send(frame(b'421["echo",1]'))
    assert await ws.rest() == b""


async def test_upgrade_elsewhere_is_answered_at_once(port: int) -> None:
    """A websocket for another path is refused at once."""
    async with raw(port) as ws:
        ws.send(handshake().replace(b"/socket.io/", b"/elsewhere"))
        assert "404" in await ws.head()


async def test_path_that_only_begins_like_ours(port: int) -> None:
    """`/socket.iox` is not the socket path."""
    async with raw(port) as ws:
        ws.send(handshake().replace(b"/socket.io/", b"/socket.iox"))
        assert "404" in await ws.head()


async def test_other_requests_pass_through(port: int) -> None:
    """Other requests are handled by the web application, on the same port."""
    async with raw(port) as ws:
        request = b"GET /health HTTP/1.1\r\nHost: sidepath.test\r\n\r\n"
        for _ in range(2):  # on one connection
            ws.send(request)
            head = await ws.head()
            assert "200" in head
            size = int(re.search(r"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
            assert "status" in json.loads(await ws.reader.readexactly(size))


async def test_events_before_an_invalid_frame(ws: Raw) -> None:
    """Events before an invalid frame in the same segment are answered."""
    ws.send(frame(b'421["echo",1]') + frame(b'422["echo",2]') + b"\xf1\x80\0\0\0\0")
    assert await ws.frame() == (TEXT, b"431[1]")
    assert await ws.frame() == (TEXT, b"432[2]")
    assert await ws.close_code() == 1002


async def test_events_before_invalid_text(ws: Raw) -> None:
    """The same holds for text that is not UTF-8."""
    ws.send(frame(b'421["echo",1]') + frame(b"42\xff"))
    assert await ws.frame() == (TEXT, b"431[1]")
    assert await ws.close_code() == 1007


@pytest.mark.parametrize("final", [True, False])
async def test_invalid_text_ends_the_connection_early(ws: Raw, final: bool) -> None:
    """Invalid text is noticed in a fragment, or at the beginning of a frame."""
    data = frame(b'42["\xce\xba\xf4\x90' + b"x" * 200, final=final)
    ws.send(data[:-150] if final else data)
    assert await ws.close_code() == 1007


async def test_letters_in_pieces(ws: Raw) -> None:
    """A character of several bytes may be split by fragments and by segments."""
    text = '421["echo","ü€😀"]'.encode()
    for cut in range(1, len(text)):
        ws.send(frame(text[:cut], final=False) + frame(text[cut:], 0))
        opcode, answer = await ws.frame()
        assert (opcode, json.loads(answer[3:])) == (TEXT, ["ü€😀"])
    whole = frame(text)
    for cut in range(1, len(whole)):
        ws.send(whole[:cut])
        await asyncio.sleep(0)
        ws.send(whole[cut:])
        assert json.loads((await ws.frame())[1][3:]) == ["ü€😀"]


async def test_frame_beside_its_handshake_on_a_kept_connection(port: int) -> None:
    """A frame in the segment of the handshake is read, even after other requests."""
    async with raw(port) as ws:
        ws.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await ws.head()
        length = re.search(r"content-length: (\d+)", head.lower())
        assert length
        await ws.reader.readexactly(int(length[1]))
        ws.send(handshake() + frame(b"40") + frame(b'421["echo",1]'))
        assert "101" in await ws.head()
        received = [(await ws.frame())[1] for _ in range(4)]
        assert b"431[1]" in received
