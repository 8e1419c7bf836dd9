"""Clients other than the newest official one: all options, and other languages."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from socket_host.app import SocketHost
from socket_host.namespace import Namespace
from tests.kit.clients import clients, raw_client
from tests.kit.hosts import on_each_transport, serving, token, url
from tests.kit.protocol_client import SEPARATOR, Http, handshake, http_client, raw
from tests.kit.protocol_server import protocol_server
from tests.kit.waiting import until

PLACE = '{"_placeholder":true,"num":0}'


@pytest.fixture
async def host() -> AsyncIterator[SocketHost]:
    async with protocol_server() as host:
        yield host


@pytest.fixture
async def http(host: SocketHost) -> AsyncIterator[Http]:
    async with http_client(host.port) as http:
        yield http


class Bytes(Namespace):
    """Returns how many bytes it received, and as many bytes."""

    async def on_bytes(self, sid: str, value: Any) -> Any:
        await self.emit("bytes", value, to=sid)
        return [len(value), value]


# Every option of socket.io-client 3.1 to 4.8 that a server could notice.
OPTIONS: list[dict[str, Any]] = [
    {"forceBase64": True},
    {"protocols": ["one", "two"]},
    {"extraHeaders": {"X-Own": "é", "Authorization": "Bearer x"}},
    {"query": {f"own{number}": "é&=" for number in range(60)}},
    {"query": {"token": "abc", "b64": ""}},
    {"addTrailingSlash": False},
    {"timestampRequests": False},
    {"timestampRequests": True, "timestampParam": "stamp"},
    {"withCredentials": True},
    {"closeOnBeforeunload": True},
    {"rememberUpgrade": True},
    {"upgrade": False},
    {"perMessageDeflate": {"threshold": 0}},
    {"transportOptions": {"websocket": {"extraHeaders": {"X-Own": "1"}}}},
    {"retries": 2, "ackTimeout": 5_000},
    {"tryAllTransports": True},
    {"requestTimeout": 30_000},
    {"randomizationFactor": 0, "auth": {"token": "x" * 3_000}},
]


@pytest.mark.parametrize("way", ["polling", "websocket", "upgrade"])
async def test_options_of_the_official_client(tmp_path: Path, way: str) -> None:
    """With each of its options the official client connects, and sends and receives bytes."""
    ask = "const [size, back] = await socket.timeout(15000).emitWithAck('bytes', Buffer.alloc(999))"
    script = f"return (async () => {{{ask}; return size + back.length}})()"
    async with clients("javascript", way) as people, serving(tmp_path, Bytes) as host:
        for options in OPTIONS:
            if way == "upgrade" and options.get("upgrade") is False:
                continue
            auth = options.get("auth", {}) | {"session": token()}
            client = await people.begin(url(host), None, **options | {"auth": auth})
            await client.receive("connect")
            assert await client.script(script) == 2 * 999, options
            await client.receive("bytes")
            await client.close()


# Base64


async def test_base64_by_websocket(http: Http) -> None:
    """A client may send bytes as text by websocket too."""
    async with http.joined() as socket:
        await socket.send(f'451-["message",{PLACE}]', "bAQIDBA==")
        assert await socket.receive() == f'451-["message-back",{PLACE}]'
        assert await socket.receive() == b"\1\2\3\4"


@pytest.mark.parametrize("size", [1, 200, 70_000])
async def test_base64_in_return(http: Http, size: int) -> None:
    """A client that sends `b64` gets bytes as text, by websocket too, even after an upgrade."""
    data, text = bytes(size), "b" + base64.b64encode(bytes(size)).decode()
    poller = await http.open()
    await poller.join()
    async with http.websocket(b64="1") as one, http.websocket(b64="1", sid=poller.sid) as other:
        await one.receive()
        await one.send("40")
        await one.receive()
        await one.receive()  # `auth`
        await other.send("2probe", "5")
        assert await other.receive() == "3probe"
        for socket in (one, other):
            await socket.send(f'451-["message",{PLACE}]', data, '421["echo","x"]')
            assert await socket.receive() == f'451-["message-back",{PLACE}]'
            assert await socket.receive() == text
            assert await socket.receive() == '431["x"]'


async def test_base64_to_a_slow_reader(host: SocketHost) -> None:
    """Messages that wait for such a client are text as well."""
    async with raw(host.port) as client:
        await client.upgrade("EIO=4&transport=websocket&b64=1")
        client.send(b"\x81\x82\0\0\0\0" + b"40")
        (one,) = host.sio.eio.engine.clients.values()
        await until(lambda: bool(one.members))
        for _ in range(5):
            await host.sio.emit("bytes", bytes(1_000_000))
        texts = 0
        while texts < 5:
            opcode, payload = await client.frame()
            assert opcode != 0x2
            texts += payload[:1] == b"b" and len(payload) > 1_000_000


@pytest.mark.parametrize(
    "text", ["AQID\nBA==\n", "AQID\r\nBA==", "AQIDBA", "AQIDBA=", " AQIDBA== ", "AQID BA=="]
)
async def test_base64_as_other_languages_write_it(http: Http, text: str) -> None:
    """Line breaks and missing padding do not matter."""
    poller = await http.open()
    await poller.join()
    assert await poller.post(f'451-["message",{PLACE}]', "b" + text) == (200, "ok")
    assert (await poller.get())[1].split(SEPARATOR)[1] == "bAQIDBA=="


async def test_base64_for_urls(http: Http) -> None:
    """The URL-safe alphabet is accepted."""
    poller = await http.open()
    await poller.join()
    assert await poller.post(f'451-["message",{PLACE}]', "b-_-_") == (200, "ok")
    assert (await poller.get())[1].split(SEPARATOR)[1] == "b+/+/"


@pytest.mark.parametrize("packet", ["b***", "bA", "b=A=", "bé"])
async def test_invalid_base64(http: Http, packet: str) -> None:
    """Invalid base64 ends the session, by websocket and by polling."""
    async with http.joined() as socket:
        await socket.send(f'451-["message",{PLACE}]', packet)
        assert await socket.closed() == 1008


# Handshakes


@pytest.mark.parametrize("transport", ["fast", "stock"])
@pytest.mark.parametrize(
    ("offered", "accepted"),
    [("one", "one"), ("one, two", "one"), (None, None), ("", None), ("a b", None)],
)
async def test_subprotocols(transport: str, offered: str | None, accepted: str | None) -> None:
    """The first subprotocol offered is accepted, because otherwise browsers would hang up."""
    async with protocol_server(transport=transport) as host, raw(host.port) as client:
        client.send(handshake(Sec_WebSocket_Protocol=offered))
        lines = (await client.head()).lower().split("\r\n")
        assert "101" in lines[0]
        found = [line for line in lines if line.startswith("sec-websocket-protocol:")]
        assert found == ([f"sec-websocket-protocol: {accepted}"] if accepted else [])


@on_each_transport
@pytest.mark.parametrize("query", [{}, {"b64": "1"}])
async def test_jsonp_is_refused(transport: str, query: dict[str, str]) -> None:
    """JSONP is refused with a reason, because scripts are requested without an Origin."""
    async with protocol_server(transport=transport) as host, http_client(host.port) as http:
        status, text = await http.ask(EIO="4", transport="polling", j="0", **query)
        assert status == 400
        assert "JSONP is not supported" in text


async def test_version_three_is_refused(http: Http) -> None:
    """A client of Socket.IO 2 gets a reason, as from Node without `allowEIO3`."""
    for transport in ("polling", "websocket"):
        status, text = await http.ask(EIO="3", transport=transport)
        assert status == 400
        assert json.loads(text)["code"] in (3, 5)
    status, text = await http.ask(EIO="3", transport="polling")
    assert json.loads(text) == {"code": 5, "message": "Unsupported protocol version"}


@pytest.mark.parametrize(
    "query",
    [
        "transport=websocket&EIO=4&",  # Swift
        "EIO=4&transport=websocket&t=P1x2&own=a%20b&own=c",
        "&&EIO=4&&transport=websocket",
        "EIO=4&transport=websocket&sid=",
        "&".join(f"own{number}=x" for number in range(200)) + "&EIO=4&transport=websocket",
    ],
)
async def test_queries_of_other_clients(host: SocketHost, query: str) -> None:
    """Empty parameters, repeated ones and many of the application's own do no harm."""
    async with raw(host.port) as client:
        await client.upgrade(query)


async def test_upgrade_without_a_probe(host: SocketHost, http: Http) -> None:
    """Clients that do not probe are served, as by Node."""
    poller = await http.open()
    await poller.join()
    client = host.sio.eio.engine.clients[poller.sid]
    get = asyncio.create_task(poller.get())
    await until(lambda: client.poll is not None)
    async with http.websocket(sid=poller.sid) as socket:
        await socket.send("5", '421["echo",1]')
        assert await socket.receive() == "431[1]"
        assert await get == (200, "6")
        assert (await poller.get())[0] == 400


async def test_upgrade_packet_without_upgrade(http: Http) -> None:
    """A client that sends an upgrade packet without upgrading is still served."""
    async with http.joined() as socket:
        await socket.send("5", '421["echo",1]')
        assert await socket.receive() == "431[1]"
    poller = await http.open()
    await poller.join()
    assert await poller.post("5", '421["echo",1]') == (200, "ok")
    assert await poller.get() == (200, "431[1]")


async def test_all_at_once_without_waiting(http: Http) -> None:
    """A client may send probe, upgrade and CONNECT at once, as on small boards."""
    poller = await http.open()
    async with http.websocket(sid=poller.sid) as socket:
        await socket.send("2probe", "5", "40", '421["echo",1]')
        assert await socket.receive() == "3probe"
        assert (await socket.receive()).startswith("40{")
        assert "431[1]" in [await socket.receive(), await socket.receive()]


async def test_post_of_any_type(http: Http) -> None:
    """The content type of a POST does not matter, as with Node."""
    for kind in ("text/plain;charset=UTF-8", "application/octet-stream", "application/json", ""):
        poller = await http.open()
        query = {"EIO": "4", "transport": "polling", "sid": poller.sid}
        headers = {"Content-Type": kind}
        assert await http.ask("POST", b"40", headers=headers, **query) == (200, "ok")


@on_each_transport
async def test_preflight(tmp_path: Path, transport: str) -> None:
    """A page of an allowed origin may send custom headers and cookies."""
    origin = "https://app.test"
    async with (
        serving(tmp_path, Bytes, transport=transport, origins=(origin,)) as host,
        aiohttp.ClientSession() as session,
    ):
        headers = {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-own",
        }
        address = f"{url(host)}/socket.io/?EIO=4&transport=polling"
        async with session.options(address, headers=headers) as response:
            assert response.status == 200
            assert response.headers["Access-Control-Allow-Origin"] == origin
            assert response.headers["Access-Control-Allow-Credentials"] == "true"
            assert "x-own" in response.headers["Access-Control-Allow-Headers"].lower()
        async with session.get(address, headers={"Origin": origin}) as response:
            assert response.status == 200
            assert response.headers["Access-Control-Allow-Origin"] == origin


@on_each_transport
async def test_raw_client_by_token(tmp_path: Path, transport: str) -> None:
    """A client other than a browser can send its session in `auth`."""
    async with (
        serving(tmp_path, Bytes, transport=transport) as host,
        raw_client(url(host), token()) as ann,
    ):
        assert "no handler" in (await ann.ask('["none"]'))["error"]
