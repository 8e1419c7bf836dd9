"""Strangers' HTTP requests are bounded, and answered or closed: heads, bodies, floods."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from socket_host import app
from socket_host.transport import http as http_transport
from tests.hostile.requests import (
    HEALTH,
    MICROSECOND,
    NOWHERE,
    answer,
    flood,
    joined,
    poll,
    post,
    session,
)
from tests.hostile.victim import victim
from tests.kit.clients import raw_client
from tests.kit.hosts import PATIENCE, limited, on_each_transport, serving, token
from tests.kit.protocol_client import Raw, handshake, raw
from tests.kit.waiting import until

pytestmark = [pytest.mark.together("waiting"), on_each_transport]


async def test_huge_heads_on_connections_that_were_used(transport: str, tmp_path: Path) -> None:
    """A head has at most 12 KiB, also in later requests of a connection."""
    async with victim(tmp_path, TRANSPORT=transport) as host:
        clients = [Raw(*await asyncio.open_connection("127.0.0.1", host.port)) for _ in range(40)]
        before = host.rss()
        lines = b"".join(b"X-%d: %s\r\n" % (n, b"x" * 8_000) for n in range(120))
        for client in clients:
            client.send(HEALTH)
            assert (await answer(client))[0] == 200
        heads = [flood(client, HEALTH[:-2] + lines, len(lines)) for client in clients]
        await asyncio.gather(*heads)
        await host.health()  # after all that
        assert host.rss() - before < 20_000_000
        for client in clients:
            client.writer.close()


@pytest.mark.parametrize("before", [b"", HEALTH, HEALTH + HEALTH])
@pytest.mark.parametrize(("size", "status"), [(11_000, 200), (13_000, 431)])
async def test_size_of_a_head(
    before: bytes, size: int, status: int, transport: str, tmp_path: Path
) -> None:
    """A head that is too large gets an error that says so, in any request of a connection."""
    async with serving(tmp_path, transport=transport) as host, raw(host.port) as client:
        client.send(
            before + HEALTH[:-2] + b"X: %s\r\nY: %s\r\n\r\n" % (b"x" * 5_000, b"y" * (size - 5_100))
        )
        for _ in range(before.count(b"GET")):
            assert (await answer(client))[0] == 200
        assert (await client.head()).split()[1] == str(status)


@pytest.mark.parametrize("before", [HEALTH, HEALTH + b"\r\n", HEALTH + b"GE"])
async def test_dripping_on_a_connection_that_was_used(
    before: bytes, transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every request has the same time limit for its head, which single bytes do not extend."""
    quick(monkeypatch, head_time=0.3)
    async with serving(tmp_path, transport=transport) as host, raw(host.port) as client:
        client.send(before)
        await answer(client)
        ended = asyncio.create_task(client.rest())
        async with asyncio.timeout(PATIENCE):
            while not ended.done():
                client.send(b"G")
                await asyncio.sleep(0.02)
        assert await ended == b""
        assert host.transport.closed()["slow requests"] == 1


def quick(monkeypatch: pytest.MonkeyPatch, **times: float) -> None:
    """Make new hosts use other timeouts."""
    limited(monkeypatch, **times)


async def test_idle_connections_end(
    transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle connection is closed."""
    monkeypatch.setattr(http_transport, "IDLE_SECONDS", 0.3)
    async with serving(tmp_path, transport=transport) as host, raw(host.port) as client:
        client.send(HEALTH)
        assert (await answer(client))[0] == 200
        assert await client.rest() == b""
        await until(lambda: host.connections.count == 0)


@pytest.mark.parametrize(
    "request_",
    [HEALTH, handshake("EIO=3&transport=websocket"), b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"],
    ids=["health", "refused", "missing"],
)
async def test_pipelined_flood(request_: bytes, transport: str, tmp_path: Path) -> None:
    """Connections with floods of pipelined requests are closed; events are still answered soon."""
    async with (
        victim(tmp_path, TRANSPORT=transport, MAX_PER_ADDRESS="0") as host,
        raw_client(host.url, token("Ann")) as ann,
    ):
        asked = 0

        async def attack() -> None:
            while asked < 20:
                async with raw(host.port) as client:
                    client.send(HEALTH)
                    await flood(client, request_ * 4_000, 20_000_000)

        attacks = [asyncio.create_task(attack()) for _ in range(10)]
        costs = []
        while asked < 20:
            before = host.cpu()
            await ann.ask('["busy",true]')
            costs.append(host.cpu() - before)
            asked += 1
        await asyncio.gather(*attacks)
        assert sorted(costs)[-2] < 0.1
        assert (await host.health())["closed"]["invalid requests"] > 10


async def test_a_few_pipelined_requests(transport: str, tmp_path: Path) -> None:
    """A client that pipelines a few requests gets all responses, in order."""
    async with victim(tmp_path, TRANSPORT=transport) as host, raw(host.port) as client:
        client.send((HEALTH + b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n") * 50)
        for _ in range(50):
            assert (await answer(client))[0] == 200
            assert (await answer(client))[0] == 404


async def test_requests_behind_one_that_waits(transport: str, tmp_path: Path) -> None:
    """Data sent behind a waiting poll takes almost no memory."""
    async with victim(tmp_path, TRANSPORT=transport, MAX_PER_ADDRESS="0") as host:
        clients = []
        for _ in range(40):
            client = Raw(*await asyncio.open_connection("127.0.0.1", host.port))
            clients.append(client)
            sid = await joined(client)
            client.send(poll(sid))
            await answer(client)  # the response to joining
            client.send(poll(sid))
        before = host.rss()
        await asyncio.gather(*(flood(client, HEALTH * 1_000, 2_000_000) for client in clients))
        await host.health()
        assert host.rss() - before < 10_000_000
        for client in clients:
            client.writer.close()


async def test_compressed_bodies(transport: str, tmp_path: Path) -> None:
    """A compressed body is refused on every path, before anything is inflated."""
    bomb = gzip.compress(b"41\x1e" * 10_000_000)
    async with victim(tmp_path, TRANSPORT=transport) as host:
        async with raw(host.port) as client:
            sid = await joined(client)
        before = host.cpu()
        for encoding in ("gzip", "deflate", "br", "GZip", "gzip, gzip", "x-gzip", "zstd"):
            encoded = f"Content-Encoding: {encoding}"
            for head in (
                post(sid, encoded),
                NOWHERE + encoded.encode() + b"\r\n\r\n",
                HEALTH[:-2] + encoded.encode() + b"\r\n\r\n",
            ):
                async with raw(host.port) as client:
                    length = f"\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
                    client.send(head[:-4] + length + bomb)
                    assert " 415 " in await client.head()
        assert host.cpu() - before < 0.5


async def test_compressed_websockets(transport: str, tmp_path: Path) -> None:
    """An offer of compression is declined: a frame of some bytes could hold a whole payload."""
    async with serving(tmp_path, transport=transport) as host, raw(host.port) as client:
        client.send(handshake(Sec_WebSocket_Extensions="permessage-deflate"))
        head = (await client.head()).lower()
        assert " 101 " in head
        assert "sec-websocket-extensions" not in head


@pytest.mark.parametrize(
    "chunk",
    [b"1\r\n4\r\n", b"4\r\n\r\n\r\n\r\n", b"001;x\r\n4\r\n", b"7d0\r\n%s\r\n" % (b"4" * 2_000)],
)
async def test_tiny_chunks(chunk: bytes, transport: str, tmp_path: Path) -> None:
    """A body in tiny chunks costs less than a microsecond a byte."""
    async with victim(tmp_path, TRANSPORT=transport, MAX_PER_VISITOR="0") as host:

        async def attack() -> int:
            async with raw(host.port) as client, raw(host.port) as attacker:
                attacker.send(post(await joined(client), "Transfer-Encoding: chunked"))
                sent = await flood(attacker, chunk * (10_000 // len(chunk)), 250_000)
                await attacker.rest()
                return sent

        before = host.cpu()
        sent = sum(await asyncio.gather(*(attack() for _ in range(10))))
        assert sent > 1_000_000
        assert host.cpu() - before < sent * MICROSECOND


@pytest.mark.parametrize(
    "path", ["/socket.io/?EIO=4&transport=polling&sid=x", "/nowhere", "/health", "/bus"]
)
async def test_bodies_that_nobody_reads(path: str, transport: str, tmp_path: Path) -> None:
    """A body for any other path is read only up to a few kilobytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n".encode()

    async def pour(length: bytes) -> int:
        async with raw(host.port) as client:
            client.send(head + length + b"\r\n\r\n")
            return await flood(client, b"2710\r\n" + b"x" * 10_000 + b"\r\n", 300_000_000)

    async with victim(tmp_path, TRANSPORT=transport) as host:
        before = host.cpu()
        for sent in await asyncio.gather(
            pour(b"Content-Length: 900000000"), pour(b"Transfer-Encoding: chunked")
        ):
            assert sent < 20_000_000  # mostly in the system's buffers
        assert host.cpu() - before < 0.3


async def test_body_that_is_refused_is_the_last(transport: str, tmp_path: Path) -> None:
    """After a body that is too large, the response announces the end of the connection."""
    async with serving(tmp_path, transport=transport) as host, raw(host.port) as client:
        sid = await session(client)
        client.send(post(sid, "Content-Length: 98000") + b"x" * 98_000)
        status, head, _ = await answer(client)
        assert status == 413
        assert "connection: close" in head.lower()


async def test_slow_body(transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow body has the same time limit as a head, for any path."""
    quick(monkeypatch, head_time=0.3)
    async with serving(tmp_path, transport=transport) as host, raw(host.port) as poller:
        sid = await joined(poller)
        for head in (
            post(sid, "Content-Length: 900"),
            NOWHERE + b"Content-Length: 900\r\n\r\n",
        ):
            async with raw(host.port) as client:
                client.send(head)
                ended = asyncio.create_task(client.rest())
                async with asyncio.timeout(PATIENCE):
                    while not ended.done():
                        client.send(b"4")
                        await asyncio.sleep(0.02)
                assert (await ended).startswith(b"HTTP/1.")


async def test_answers_that_are_not_read(
    transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that does not read its response is closed."""
    monkeypatch.setattr(http_transport, "_STALL_SECONDS", 0.3)
    monkeypatch.setattr(app, "listen", listen_with_small_buffers)
    async with (
        serving(tmp_path, transport=transport) as host,
        raw(host.port) as poller,
        deaf(host.port) as client,
    ):
        sid = await joined(poller)
        (member,) = host.namespaces[0]._clients
        for _ in range(9):
            await host.sio.emit("news", "x" * 100_000, to=member)
        await until(lambda: host.connections.count == 2)
        await asyncio.get_running_loop().sock_sendall(client, poll(sid))
        await until(lambda: host.connections.count == 1)
        assert host.transport.closed()["slow clients"] == 1


def listen_with_small_buffers(bind: str, port: int) -> socket.socket:
    """Listen with small buffers, so that almost nothing is sent before it is read."""
    listening = socket.create_server((bind, port))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return listening


@asynccontextmanager
async def deaf(port: int) -> AsyncIterator[socket.socket]:
    """A connection with a small window that is not read."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
        yield client
