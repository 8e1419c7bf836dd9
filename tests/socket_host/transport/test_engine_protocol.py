"""Engine.IO, version 4: every requirement of the specification on servers."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.kit.protocol_client import PATIENCE, SEPARATOR, Http, Poller, http_client
from tests.kit.protocol_server import protocol_server


@pytest.fixture
async def hasty() -> AsyncIterator[Http]:
    """A client of a host with a quick heartbeat."""
    async with (
        protocol_server(ping_interval=0.3, ping_timeout=0.2) as host,
        http_client(host.port) as http,
    ):
        yield http


FIELDS = {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}


async def test_polling_handshake_has_all_fields(hasty: Http) -> None:
    """The open packet of a polling session offers the upgrade, with fractions of seconds."""
    status, text = await hasty.ask(EIO="4", transport="polling")
    fields = json.loads(text[1:])
    assert (status, text[0]) == (200, "0")
    assert fields.keys() == FIELDS
    assert fields["upgrades"] == ["websocket"]
    assert (fields["pingInterval"], fields["pingTimeout"]) == (300, 200)
    assert fields["maxPayload"] == 1_000_000


async def test_websocket_handshake_has_all_fields(hasty: Http) -> None:
    """The open packet of a websocket session offers no upgrade."""
    async with hasty.websocket() as socket:
        packet = await socket.receive()
        fields = json.loads(packet[1:])
        assert packet[0] == "0"
        assert fields.keys() == FIELDS
        assert fields["upgrades"] == []
        assert (fields["pingInterval"], fields["pingTimeout"]) == (300, 200)


async def test_every_session_has_its_own_id(http: Http) -> None:
    """Two sessions never share an id."""
    assert (await http.open()).sid != (await http.open()).sid


@pytest.mark.parametrize(
    ("method", "query", "code", "message"),
    [
        ("GET", {"transport": "polling"}, 5, "Unsupported protocol version"),
        ("GET", {"EIO": "abc", "transport": "polling"}, 5, "Unsupported protocol version"),
        ("GET", {"EIO": "3", "transport": "polling"}, 5, "Unsupported protocol version"),
        ("GET", {"EIO": "4"}, 0, "Transport unknown"),
        ("GET", {"EIO": "4", "transport": "abc"}, 0, "Transport unknown"),
        ("POST", {"EIO": "4", "transport": "polling"}, 2, "Bad handshake method"),
        ("PUT", {"EIO": "4", "transport": "polling"}, 2, "Bad handshake method"),
        ("DELETE", {"EIO": "4", "transport": "polling"}, 2, "Bad handshake method"),
        ("GET", {"EIO": "4", "transport": "websocket"}, 3, "Bad request"),
        ("GET", {"EIO": "4", "transport": "polling", "sid": "x"}, 1, "Session ID unknown"),
        ("POST", {"EIO": "4", "transport": "polling", "sid": "x"}, 1, "Session ID unknown"),
    ],
)
async def test_bad_requests_are_answered_with_400(
    http: Http, method: str, query: dict[str, str], code: int, message: str
) -> None:
    """An invalid request gets status 400 and Engine.IO's error."""
    status, text = await http.ask(method, **query)
    assert status == 400
    assert json.loads(text) == {"code": code, "message": message}


@pytest.mark.parametrize(
    "query",
    [
        {"transport": "websocket", "EIO": ""},
        {"transport": "websocket", "EIO": "abc"},
        {"transport": "", "EIO": "4"},
        {"transport": "abc", "EIO": "4"},
        {"transport": "polling", "EIO": "4"},
        {"transport": "websocket", "EIO": "4", "sid": "nobody"},
    ],
)
async def test_bad_websocket_handshakes_are_refused(http: Http, query: dict[str, str]) -> None:
    """A websocket with wrong parameters is not opened."""
    with pytest.raises(Exception, match="400"):
        async with http.websocket(**query):
            pass


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_do_not_touch_a_session(http: Http, method: str) -> None:
    """Methods other than GET and POST do not affect a session."""
    poller = await http.open()
    status, _ = await http.ask(method, EIO="4", transport="polling", sid=poller.sid)
    assert status == 400
    await poller.join()


async def test_both_spellings_of_the_path(http: Http) -> None:
    """Clients may omit the slash at the end of the path, on both transports."""
    http.base = http.base.removesuffix("/")
    await (await http.open()).join()
    async with http.joined() as socket:
        await socket.send('421["echo",1]')
        assert await socket.receive() == "431[1]"


async def echoed(poller: Poller, *packets: str) -> list[str]:
    """Post packets, and receive as many."""
    assert await poller.post(*packets) == (200, "ok")
    received: list[str] = []
    async with asyncio.timeout(PATIENCE):
        while len(received) < len(packets):
            status, text = await poller.get()
            assert status == 200
            received += text.split(SEPARATOR)
    return received


async def test_polling_carries_several_packets(http: Http) -> None:
    """The packets of a payload are answered in order."""
    poller = await http.open()
    await poller.join()
    packets = [f'42{n}["echo",{n}]' for n in range(40)]  # more than python-engineio accepts
    assert await echoed(poller, *packets) == [f"43{n}[{n}]" for n in range(40)]


async def test_polling_carries_text_and_binary(http: Http) -> None:
    """Bytes travel as base64 in polling payloads, in both directions."""
    poller = await http.open()
    await poller.join()
    placeholder = '{"_placeholder":true,"num":0}'
    answers = await echoed(poller, f'451-["message",{placeholder}]', "bAQIDBA==")
    assert answers == [f'451-["message-back",{placeholder}]', "bAQIDBA=="]


async def test_polling_payload_is_utf8(http: Http) -> None:
    """Text beyond ASCII arrives unchanged."""
    poller = await http.open()
    await poller.join()
    (answer,) = await echoed(poller, '421["echo","ü€😀"]')
    assert json.loads(answer.removeprefix("431")) == ["ü€😀"]


@pytest.mark.parametrize(
    "body", ["abc", "", "2", "0", "7", "4" + SEPARATOR, "b***", b"4\xff", "2probe"]
)
async def test_invalid_payload_closes_a_polling_session(http: Http, body: str | bytes) -> None:
    """A payload without valid packets gets a 400, and ends the session."""
    poller = await http.open()
    query = {"EIO": "4", "transport": "polling", "sid": poller.sid}
    assert (await http.ask("POST", body, **query))[0] == 400
    assert (await poller.get())[0] == 400


async def test_payload_over_the_limit_closes_a_polling_session(http: Http) -> None:
    """A body longer than maxPayload is not read to its end."""
    poller = await http.open()
    assert (await poller.post("4" + "x" * 1_000_001))[0] == 413
    assert (await poller.get())[0] == 400


async def test_websocket_carries_text_and_binary(http: Http) -> None:
    """Bytes travel as binary frames on a websocket."""
    async with http.joined() as socket:
        placeholder = '{"_placeholder":true,"num":0}'
        await socket.send(f'451-["message",{placeholder}]', b"\1\2\3")
        assert await socket.receive() == f'451-["message-back",{placeholder}]'
        assert await socket.receive() == b"\1\2\3"


@pytest.mark.parametrize("packet", ["abc", "", "0", "2", "7", "2probe", "3x"])
async def test_invalid_packet_closes_a_websocket(http: Http, packet: str) -> None:
    """A packet that no client may send ends the session."""
    async with http.websocket() as socket:
        await socket.receive()
        await socket.send(packet)
        assert await socket.closed() == 1008


async def test_second_get_closes_the_session(http: Http) -> None:
    """A client must not send two GETs at once: the first one gets the end of the session."""
    poller = await http.open()
    first = asyncio.create_task(poller.get())
    await asyncio.sleep(0.05)
    assert (await poller.get())[0] == 400
    assert await first == (200, "1")
    assert (await poller.get())[0] == 400


async def test_second_post_closes_the_session(http: Http) -> None:
    """Two POSTs at once could change the order of packets: the session ends."""
    poller = await http.open()
    arriving = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"4"
        arriving.set()
        await asyncio.sleep(PATIENCE)

    query = {"EIO": "4", "transport": "polling", "sid": poller.sid}
    first = asyncio.create_task(
        http.session.post(http.base, params=query, data=slowly()).__aenter__()  # type: ignore[arg-type]
    )
    async with asyncio.timeout(PATIENCE):
        await arriving.wait()
        await asyncio.sleep(0.05)
        assert (await poller.post("40"))[0] == 400
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert (await poller.get())[0] == 400


async def test_cancelled_get_closes_the_session(http: Http) -> None:
    """An aborted GET would lose packets, so the session ends."""
    poller = await http.open()
    get = asyncio.create_task(poller.get())
    await asyncio.sleep(0.05)
    get.cancel()
    await asyncio.gather(get, return_exceptions=True)
    async with asyncio.timeout(PATIENCE):
        while (await poller.post("6"))[0] == 200:
            pass


async def test_heartbeat_by_polling(hasty: Http) -> None:
    """The server pings; a client that answers stays."""
    poller = await hasty.open()
    for _ in range(3):
        assert await poller.get() == (200, "2")
        assert await poller.post("3") == (200, "ok")


async def test_heartbeat_by_websocket(hasty: Http) -> None:
    """The server pings; a client that answers stays."""
    async with hasty.websocket() as socket:
        await socket.receive()
        for _ in range(3):
            assert await socket.receive() == "2"
            await socket.send("3")


async def test_ping_timeout_by_polling(hasty: Http) -> None:
    """A polling client that is silent for the interval and the timeout is closed."""
    poller = await hasty.open()
    await asyncio.sleep(0.3 + 0.2)
    assert (await poller.get())[0] == 400


async def test_ping_timeout_by_websocket(hasty: Http) -> None:
    """A websocket client that does not answer a ping is closed, whatever else it sends."""
    async with hasty.websocket() as socket:
        await socket.receive()
        await socket.send("40", "6")
        assert await socket.closed() is not None


async def test_close_by_polling(http: Http) -> None:
    """A close packet ends the session, and a waiting GET gets a noop."""
    poller = await http.open()
    get = asyncio.create_task(poller.get())
    await asyncio.sleep(0.05)
    assert await poller.post("1") == (200, "ok")
    assert await get == (200, "6")
    assert (await poller.get())[0] == 400


async def test_close_by_websocket(http: Http) -> None:
    """A close packet closes the websocket."""
    async with http.websocket() as socket:
        await socket.receive()
        await socket.send("1")
        assert await socket.closed() == 1000


async def test_engine_alone(hasty: Http) -> None:
    """The engine without Socket.IO, as the official suite tests it, sends pings too."""
    hasty.base = hasty.base.replace("socket.io", "engine.io")
    async with hasty.websocket() as socket:
        await socket.receive()
        await socket.send("4hello")
        assert await socket.receive() == "4hello"
        assert await socket.receive() == "2"
        await socket.send("3")
        assert await socket.receive() == "2"
        assert await socket.closed() is not None
