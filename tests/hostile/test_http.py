"""What one HTTP connection can cost a host is bounded: in time, in memory, and for how long."""

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from socket_host import app
from socket_host.transport import http as http_transport
from tests.hostile.victim import Victim, victim
from tests.kit.clients import raw_client
from tests.kit.hosts import PATIENCE, limited, on_each_transport, serving, token, url
from tests.kit.protocol_client import PING, PONG, TEXT, Raw, frame, handshake, raw

pytestmark = on_each_transport

MICROSECOND = 1e-6
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
OPEN = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n"
NOWHERE = b"POST /nowhere HTTP/1.1\r\nHost: x\r\n"


async def answer(client: Raw) -> tuple[int, str, str]:
    """Read one answer: its status, its head and its body."""
    head = await client.head()
    lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
    async with asyncio.timeout(PATIENCE):
        body = await client.reader.readexactly(int(lines.get("content-length", 0)))
    return int(head.split()[1]), head, body.decode()


async def session(client: Raw) -> str:
    """Open a session by polling; return its id."""
    client.send(OPEN)
    sid: str = json.loads((await answer(client))[2][1:])["sid"]
    return sid


def poll(sid: str) -> bytes:
    """A GET of a session."""
    query = f"EIO=4&transport=polling&sid={sid}"
    return f"GET /socket.io/?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def post(sid: str, *headers: str) -> bytes:
    """The head of a POST to a session."""
    first = f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1"
    return "\r\n".join([first, "Host: x", *headers, "", ""]).encode()


async def joined(client: Raw) -> str:
    """Open a session by polling, and join; return its id."""
    sid = await session(client)
    packet = f'40{{"session":"{token("Ann")}"}}'.encode()
    client.send(post(sid, f"Content-Length: {len(packet)}") + packet)
    assert (await answer(client))[0] == 200
    return sid


async def flood(client: Raw, data: bytes, size: int) -> int:
    """Send data again and again until so much is sent or the host hangs up; return how much was."""
    sent = 0
    try:
        async with asyncio.timeout(PATIENCE):
            while sent < size:
                client.send(data)
                await client.writer.drain()
                sent += len(data)
    except (ConnectionError, TimeoutError):
        pass
    return sent


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


async def cost_of(host: Victim, data: bytes, times: int) -> float:
    """Send data on as many new connections; return the processor seconds of each."""
    before = host.cpu()
    for _ in range(times):
        async with raw(host.port) as client:
            client.send(data)
            await client.rest()
    return (host.cpu() - before) / times


async def test_huge_heads_on_connections_that_were_used(transport: str, tmp_path: Path) -> None:
    """A head is 12 KiB at the most, also of the second request and the third."""
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
    """A head that is too large gets words that say so, whichever request of a connection it is."""
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
    """The time for a head is that of every request, and a byte now and then does not prolong it."""
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
    """Have hosts made with other times."""
    limited(monkeypatch, **times)


async def test_idle_connections_end(
    transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that asked something and then nothing more ends."""
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
    """Ten connections of pipelined requests are hung up on; meanwhile events are answered soon."""
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
    """A client that sends a few requests ahead gets all answers, in order."""
    async with victim(tmp_path, TRANSPORT=transport) as host, raw(host.port) as client:
        client.send((HEALTH + b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n") * 50)
        for _ in range(50):
            assert (await answer(client))[0] == 200
            assert (await answer(client))[0] == 404


async def test_requests_behind_one_that_waits(transport: str, tmp_path: Path) -> None:
    """What is sent behind a poll that waits holds next to no memory."""
    async with victim(tmp_path, TRANSPORT=transport, MAX_PER_ADDRESS="0") as host:
        clients = []
        for _ in range(40):
            client = Raw(*await asyncio.open_connection("127.0.0.1", host.port))
            clients.append(client)
            sid = await joined(client)
            client.send(poll(sid))
            await answer(client)  # what came with joining
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


@pytest.mark.parametrize(
    "chunk",
    [b"1\r\n4\r\n", b"4\r\n\r\n\r\n\r\n", b"001;x\r\n4\r\n", b"7d0\r\n%s\r\n" % (b"4" * 2_000)],
)
async def test_tiny_chunks(chunk: bytes, transport: str, tmp_path: Path) -> None:
    """A body in chunks, however small, costs less than a microsecond for each byte."""
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
    """A body that is not a session's is not read beyond a few kilobytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n".encode()
    async with victim(tmp_path, TRANSPORT=transport) as host:
        before = host.cpu()
        for length in (b"Content-Length: 900000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"):
            async with raw(host.port) as client:
                client.send(head + length)
                sent = await flood(client, b"2710\r\n" + b"x" * 10_000 + b"\r\n", 300_000_000)
                assert sent < 20_000_000  # nearly all of it in the system's buffers
        assert host.cpu() - before < 0.3


async def test_slow_body(transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that drips in has no more time than a head, whatever path it is for."""
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
    """A client that does not read what it asked for is hung up on."""
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
    """Listen so that next to nothing is sent before it is read."""
    listening = socket.create_server((bind, port))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return listening


@asynccontextmanager
async def deaf(port: int) -> AsyncIterator[socket.socket]:
    """A connection that nobody reads from, with a small window."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
        yield client


async def test_malformed_header_of_spaces(transport: str, tmp_path: Path) -> None:
    """A header costs time in proportion to its length, also if only its last byte is wrong."""
    line = b"X:" + b" \t" * 5_900 + b"\x01"
    for request in (handshake()[:-2] + line + b"\r\n\r\n", HEALTH[:-2] + line + b"\r\n\r\n"):
        async with victim(tmp_path, TRANSPORT=transport) as host:
            assert await cost_of(host, request, 20) < len(request) * MICROSECOND + 0.002


@pytest.mark.parametrize("line", [b"\r\n", b"\n", b"\r\n\r\n0\r\n\r\n"])
async def test_empty_lines(line: bytes, transport: str, tmp_path: Path) -> None:
    """Empty lines before a request, however many, cost next to nothing."""
    async with victim(tmp_path, TRANSPORT=transport) as host:
        for before in (b"", HEALTH, HEALTH + b"G"):
            async with raw(host.port) as client:
                client.send(before)
                used = host.cpu()
                sent = await flood(client, line * (200_000 // len(line)), 4_000_000)
                await host.health()
                assert host.cpu() - used < sent * MICROSECOND / 10 + 0.1


async def test_byte_by_byte(transport: str, tmp_path: Path) -> None:
    """A head that comes byte by byte costs what its packets cost, and no more than that."""
    async with victim(tmp_path, TRANSPORT=transport) as host, raw(host.port) as client:
        client.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        before = host.cpu()
        for byte in HEALTH[:-2] + b"X: " + b"x" * 6_000:
            client.send(bytes([byte]))
            await asyncio.sleep(0)
        assert host.cpu() - before < 0.4


async def test_frames_sent_with_a_handshake_on_a_used_connection(
    transport: str, tmp_path: Path
) -> None:
    """What follows an upgrade at once is not lost, whatever the connection carried before."""
    async with serving(tmp_path, transport=transport) as host, raw(host.port) as client:
        client.send(HEALTH)
        await answer(client)
        packet = f'40{{"session":"{token("Ann")}"}}'.encode()
        client.send(handshake() + frame(packet) + frame(b"ping", PING))
        assert "101" in await client.head()
        heard: list[tuple[int, bytes]] = []
        while len(heard) < 3:
            heard.append(await client.frame())
        assert {(opcode, data[:2]) for opcode, data in heard} >= {
            (TEXT, b"0{"),
            (TEXT, b"40"),
            (PONG, b"pi"),
        }


async def test_requests_sent_with_a_refused_handshake(transport: str, tmp_path: Path) -> None:
    """Requests behind an upgrade that is refused are answered, as many as there are."""
    async with serving(tmp_path, transport=transport) as host, raw(host.port) as client:
        client.send(HEALTH + handshake("EIO=4&transport=nothing") + HEALTH)
        assert [(await answer(client))[0] for _ in range(3)] == [200, 400, 200]


async def test_headers_of_every_answer(transport: str, tmp_path: Path) -> None:
    """No answer is to be sniffed, and none says what serves here, in which version."""
    requests = {
        HEALTH: 200,
        OPEN: 200,
        OPEN.replace(b"EIO=4", b"EIO=4&sid=x"): 400,
        OPEN.replace(b"polling", b"nothing"): 400,
        OPEN.replace(b"Host: x", b"Host: x\r\nOrigin: https://evil.test"): 403,
        OPEN.replace(b"GET", b"DELETE"): None,
        b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n": 404,
        NOWHERE + b"Content-Length: 0\r\n\r\n": 404,
        HEALTH.replace(b"GET", b"POST"): 405,
        b"nonsense\r\n\r\n": 400,
        HEALTH[:-2] + b"Content-Encoding: gzip\r\n\r\n": 415,
        handshake(Origin="https://evil.test"): 403,
        handshake("EIO=4&transport=nothing"): 400,
        handshake(): 101,
    }
    async with serving(tmp_path, transport=transport) as host:
        for request, status in requests.items():
            async with raw(host.port) as client:
                client.send(request)
                head = (await client.head()).lower()
                assert status is None or head.split()[1] == str(status), request
                assert status == 101 or "x-content-type-options: nosniff" in head, request
                assert "aiohttp" not in head, request
                assert "python" not in head, request


async def test_methods_and_upgrades_that_make_no_sense(
    transport: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Strange requests are answered or hung up on, without a trace in the log."""
    strange = [
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n" + b"x" * 1_000,
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /health HTTP/1.0\r\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
        b"\r\n" * 7_000,
        HEALTH[:-2] + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEALTH[:-2] + b"Transfer-Encoding: gzip\r\n\r\n",
        NOWHERE + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        NOWHERE + b"Content-Length: 99999999999999999999999\r\n\r\n",
        NOWHERE + b"Content-Length: -1\r\n\r\n",
        NOWHERE + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        HEALTH[:-2] + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\n",
        handshake("EIO=4&transport=polling"),
        HEALTH + handshake(Content_Length="4") + b"4040",
        HEALTH + handshake() + b"\xff" * 500,
        HEALTH + handshake() + b"\xff" * 50_000,
    ]
    async with serving(tmp_path, transport=transport) as host:
        for data in strange * 2:
            async with raw(host.port) as client:
                client.send(data)
                client.writer.write_eof()
                await client.rest()
        async with raw_client(url(host), token("Ann")) as ann:
            assert await ann.ask('["busy",true]') == {}
        await until(lambda: host.connections.count == 0)
    assert not [record for record in caplog.records if record.exc_info]


async def test_many_polls_on_one_connection(transport: str, tmp_path: Path) -> None:
    """A balancer that sends the requests of many clients over a few connections is served."""
    async with (
        serving(tmp_path, transport=transport, max_per_visitor=0) as host,
        raw(host.port) as balancer,
    ):
        for n in range(20):
            sid = await joined(balancer)
            chunked = post(sid, "Transfer-Encoding: chunked")
            packet = b'42["busy",true]' + b" " * (n * 400)
            balancer.send(chunked + b"%x\r\n%s\r\n0\r\n\r\n" % (len(packet), packet) + HEALTH)
            assert (await answer(balancer))[0] == 200
            assert (await answer(balancer))[0] == 200
        assert len(host.namespaces[0]._clients) == 20
