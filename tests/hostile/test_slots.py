"""A host cannot be filled by clients that do not join, by one address, or by one visitor."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from socket_host.app import SocketHost
from tests.kit.hosts import PATIENCE, limited, on_each_transport, serving, token, url
from tests.kit.protocol_client import raw
from tests.kit.waiting import until

pytestmark = on_each_transport

JOIN_TIME = 0.5
OPEN = {"EIO": "4", "transport": "polling"}
WS = "/socket.io/?EIO=4&transport=websocket"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make hosts wait only half a second for a client to join."""
    limited(monkeypatch, join_time=JOIN_TIME)


@asynccontextmanager
async def visitors() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client with any number of websockets, and a hundred requests at a time."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)) as http:
        yield http
        for websocket in kept:
            await websocket.close()
        kept.clear()


kept: list[aiohttp.ClientWebSocketResponse] = []


async def status(http: aiohttp.ClientSession, host: SocketHost, forwarded: str = "") -> int:
    """Open a polling session without joining; return the status."""
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    async with http.get(url(host) + "/socket.io/", params=OPEN, headers=headers) as answer:
        return answer.status


async def opened(http: aiohttp.ClientSession, host: SocketHost, **headers: str) -> Any:
    """Open a websocket that stays open."""
    websocket = await http.ws_connect(url(host) + WS, headers=headers)
    kept.append(websocket)
    await websocket.receive_str()
    return websocket


async def connect(websocket: Any, who: str) -> str:
    """Join as a visitor, or without a session; return the answer."""
    await websocket.send_str("40" + json.dumps({"session": token(who) if who else "forged"}))
    while True:
        packet: str = await websocket.receive_str()
        if packet.startswith(("40", "44")):
            return packet


async def say(websocket: Any, packet: str) -> None:
    """Send a packet, unless the host has hung up."""
    with suppress(ConnectionError):
        await websocket.send_str(packet)


async def test_one_address_opens_a_thousand_sessions(transport: str, tmp_path: Path) -> None:
    """An address whose clients do not join gets a fortieth of the slots, others their share."""
    async with (
        serving(tmp_path, transport=transport, max_connections=400, proxies=1) as host,
        visitors() as http,
    ):
        asked = [status(http, host, "192.0.2.1") for _ in range(1_000)]
        statuses = await asyncio.gather(*asked)
        assert 10 <= statuses.count(200) < 40  # some were closed meanwhile
        assert statuses.count(200) + statuses.count(429) == 1_000
        async with asyncio.timeout(PATIENCE):
            assert (await connect(await opened(http, host), "Ann")).startswith("40")


async def test_many_addresses_open_sessions(transport: str, tmp_path: Path) -> None:
    """Clients that do not join get a tenth of the slots, from any number of addresses."""
    async with (
        serving(tmp_path, transport=transport, max_connections=400, proxies=1) as host,
        visitors() as http,
    ):
        asked = [status(http, host, f"192.0.2.{n % 250}") for n in range(1_000)]
        statuses = await asyncio.gather(*asked)
        assert statuses.count(200) + statuses.count(503) == 1_000
        assert statuses.count(503) > 500
        assert host.transport.slots.waiting <= 40
        await until(lambda: not host.transport.slots.waiting)
        assert await status(http, host, "192.0.2.3") == 200


async def test_newcomers_while_others_wait(transport: str, tmp_path: Path) -> None:
    """Clients that have waited long make room for new ones, which have enough time to join."""
    async with (
        serving(tmp_path, transport=transport, max_connections=400, proxies=1) as host,
        visitors() as http,
    ):
        for n in range(40):
            assert await status(http, host, f"192.0.2.{n}") == 200
        await asyncio.sleep(JOIN_TIME * 0.3)
        assert host.transport.slots.waiting == 40
        websocket = await opened(http, host)
        assert host.transport.slots.waiting == 40
        assert (await connect(websocket, "Ann")).startswith("40")


@pytest.mark.parametrize("way", ["refused", "silent"])
async def test_refused_again_and_again(way: str, transport: str, tmp_path: Path) -> None:
    """A refused CONNECT does not restart the deadline."""
    async with serving(tmp_path, transport=transport) as host, visitors() as http:
        websocket = await opened(http, host)
        began = asyncio.get_running_loop().time()
        async with asyncio.timeout(PATIENCE):
            while not websocket.closed:
                if way == "refused":
                    await say(websocket, '40{"session":"forged"}')
                try:
                    await websocket.receive(timeout=0.1)
                except TimeoutError:
                    continue
                await asyncio.sleep(0.05)
        assert asyncio.get_running_loop().time() - began < 6 * JOIN_TIME
        await until(lambda: not host.transport.connections())


async def test_connecting_forever(transport: str, tmp_path: Path) -> None:
    """A connect handler that is running does not end the deadline."""
    async with serving(tmp_path, transport=transport) as host, visitors() as http:
        forever = asyncio.Event()

        @host.sio.on("connect", namespace="/slow")  # type: ignore[untyped-decorator]
        async def slow(sid: str, environ: Any, auth: Any) -> None:
            await forever.wait()

        websocket = await opened(http, host)
        await websocket.send_str("40/slow,")
        async with asyncio.timeout(PATIENCE):
            async for _ in websocket:
                pass
        forever.set()
        await until(lambda: not host.transport.connections())


async def test_joining_and_leaving_in_turns(transport: str, tmp_path: Path) -> None:
    """Joining and leaving repeatedly does not extend the deadline."""
    async with serving(tmp_path, transport=transport) as host, visitors() as http:
        websocket = await opened(http, host)
        assert (await connect(websocket, "Ann")).startswith("40")
        began = asyncio.get_running_loop().time()
        await websocket.send_str("41")
        async with asyncio.timeout(PATIENCE):
            while not websocket.closed:
                await asyncio.sleep(JOIN_TIME * 0.8)
                await say(websocket, f'40{{"session":"{token("Ann")}"}}')
                await say(websocket, "41")
                while not websocket.closed:
                    try:
                        await websocket.receive(timeout=0.05)
                    except TimeoutError:
                        break
        waited = asyncio.get_running_loop().time() - began
        assert JOIN_TIME * 0.8 < waited < 6 * JOIN_TIME
        await until(lambda: not host.transport.connections())


async def test_client_that_leaves_may_join_again(transport: str, tmp_path: Path) -> None:
    """A client that leaves its last namespace has time to join another."""
    async with serving(tmp_path, transport=transport) as host, visitors() as http:
        websocket = await opened(http, host)
        assert (await connect(websocket, "Ann")).startswith("40")
        await websocket.send_str("41")
        await until(lambda: host.transport.slots.waiting == 1)
        assert (await connect(websocket, "Ann")).startswith("40")
        assert host.transport.slots.waiting == 0


async def test_one_visitor(transport: str, tmp_path: Path) -> None:
    """A visitor's connections are limited; further ones are refused with a reason."""
    async with (
        serving(tmp_path, transport=transport, max_per_visitor=3) as host,
        visitors() as http,
    ):
        anns = [await opened(http, host) for _ in range(4)]
        answers = [await connect(websocket, "Ann") for websocket in anns]
        assert [answer[:2] for answer in answers] == ["40", "40", "40", "44"]
        refusal = json.loads(answers[3][2:])
        assert refusal["data"] == {"code": "visitor"}
        assert "too many connections" in refusal["message"]
        assert host.namespaces[0].refused == {"visitor": 1}
        bob = await opened(http, host)
        assert (await connect(bob, "Bob")).startswith("40")
        await anns[0].close()
        await until(lambda: len(host.namespaces[0]._clients) == 3)
        assert (await connect(anns[3], "Ann")).startswith("40")


@pytest.mark.parametrize(
    ("proxies", "forwarded", "same"),
    [
        (2, "{n}.9.9.9, 192.0.2.1, 10.0.0.{n}", True),
        (2, "{n}.9.9.9,{n}.8.8.8 , 192.0.2.1 ,10.0.0.7", True),
        (2, "192.0.2.{n}, 10.0.0.7", False),
        (2, "192.0.2.{n}", False),
        (1, "{n}.9.9.9, 192.0.2.1", True),
        (1, "192.0.2.1:{n}", True),
        (1, "2001:db8:0:1:{n}::1", True),
        (1, "[2001:db8:0:1::{n}]:443", True),
        (1, "2001:db8:0:{n}::1", False),
        (1, "::ffff:192.0.2.{n}", False),
        (1, "nonsense-{n}", True),
        (0, "192.0.2.{n}", True),
    ],
)
async def test_whose_address(
    proxies: int, forwarded: str, same: bool, transport: str, tmp_path: Path
) -> None:
    """An address is what trusted proxies report (for IPv6, the network), not a client's claim."""
    async with (
        serving(tmp_path, transport=transport, max_connections=400, proxies=proxies) as host,
        visitors() as http,
    ):
        asked = [status(http, host, forwarded.format(n=n)) for n in range(1, 16)]
        assert (await asyncio.gather(*asked)).count(200) == (10 if same else 15)


async def test_joined_ones_of_an_address(transport: str, tmp_path: Path) -> None:
    """One address also gets only a share of joined clients, whoever their visitors are."""
    async with (
        serving(tmp_path, transport=transport, max_per_address=12) as host,
        visitors() as http,
    ):
        people = [await opened(http, host) for _ in range(12)]
        for n, websocket in enumerate(people):
            assert (await connect(websocket, f"V{n}")).startswith("40")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await opened(http, host)
        assert refused.value.status == 429
        assert host.admission.refused == {"address": 1}


async def test_closed_connections_are_not_counted(transport: str, tmp_path: Path) -> None:
    """Connections that have closed, in whatever way, are no longer counted."""
    async with serving(tmp_path, transport=transport, proxies=1) as host, visitors() as http:
        for n in range(10):
            await status(http, host, f"192.0.2.{n}")
            websocket = await opened(http, host, **{"X-Forwarded-For": f"192.0.2.{n}"})
            if n % 2:
                assert (await connect(websocket, "Ann" if n % 3 else "")).startswith("4")
            if n % 5 == 3:
                await websocket.send_str("41")
            await websocket.close()
        slots = host.transport.slots
        await until(lambda: not host.transport.connections() and not slots._open)
        assert (slots._waiting, slots._budgets, slots.waiting) == ({}, {}, 0)
        assert not host.visitors.visits
        await http.close()
        await until(lambda: host.connections.count == 0)
        assert not host.connections._idle


async def test_open_connections_are_bounded(transport: str, tmp_path: Path) -> None:
    """With any number of open connections, /health is answered, and later there is room again."""
    async with (
        serving(tmp_path, transport=transport, max_connections=20, max_per_address=0) as host,
        AsyncExitStack() as stack,
    ):
        most = host.connections.most
        clients = [await stack.enter_async_context(raw(host.port)) for _ in range(most)]
        await until(lambda: host.connections.count == most)
        for client in clients:
            client.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert "200 OK" in await client.head()
        async with raw(host.port) as balancer, raw(host.port) as visitor:
            balancer.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert "200 OK" in await balancer.head()
            visitor.send(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n")
            assert "503" in await visitor.head()
        for _ in range(200):
            await stack.enter_async_context(raw(host.port))
        await until(lambda: host.transport.closed()["too many connections"] >= 150)
        assert host.connections.count <= most + 32
        await stack.aclose()
        async with visitors() as http:
            await until(lambda: host.connections.count == 0)
            assert (await connect(await opened(http, host), "Ann")).startswith("40")


async def test_one_peer_does_not_take_all_connections(transport: str, tmp_path: Path) -> None:
    """Without proxies, one address cannot take all connections by staying silent."""
    async with serving(tmp_path, transport=transport, max_connections=400) as host:
        async with AsyncExitStack() as stack:
            for _ in range(600):
                await stack.enter_async_context(raw(host.port))
            await until(lambda: host.transport.closed()["too many connections"] >= 200)
            assert host.connections.count <= 400 < host.connections.most
        await until(lambda: host.connections.count == 0)
