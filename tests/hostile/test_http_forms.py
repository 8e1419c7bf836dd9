"""Unusual requests get correct HTTP responses, and cost no more than others."""

import asyncio
import socket
from pathlib import Path

import pytest

from tests.hostile.requests import (
    HEALTH,
    MICROSECOND,
    NOWHERE,
    OPEN,
    answer,
    cost_of,
    flood,
    joined,
    post,
)
from tests.hostile.victim import victim
from tests.kit.clients import raw_client
from tests.kit.hosts import on_each_transport, serving, token, url
from tests.kit.protocol_client import PING, PONG, TEXT, frame, handshake, raw
from tests.kit.waiting import until

pytestmark = on_each_transport


async def test_malformed_header_of_spaces(transport: str, tmp_path: Path) -> None:
    """A header takes linear time, even if only its last byte is wrong."""
    line = b"X:" + b" \t" * 5_900 + b"\x01"
    for request in (handshake()[:-2] + line + b"\r\n\r\n", HEALTH[:-2] + line + b"\r\n\r\n"):
        async with victim(tmp_path, TRANSPORT=transport) as host:
            assert await cost_of(host, request, 20) < len(request) * MICROSECOND + 0.002


@pytest.mark.parametrize("line", [b"\r\n", b"\n", b"\r\n\r\n0\r\n\r\n"])
async def test_empty_lines(line: bytes, transport: str, tmp_path: Path) -> None:
    """Any number of empty lines before a request costs almost nothing."""
    async with victim(tmp_path, TRANSPORT=transport) as host:
        for before in (b"", HEALTH, HEALTH + b"G"):
            async with raw(host.port) as client:
                client.send(before)
                used = host.cpu()
                sent = await flood(client, line * (200_000 // len(line)), 4_000_000)
                await host.health()
                assert host.cpu() - used < sent * MICROSECOND / 10 + 0.1


async def test_byte_by_byte(transport: str, tmp_path: Path) -> None:
    """A head sent byte by byte costs only as much as its segments."""
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
    """Data right behind an upgrade is not lost on a connection that has carried other requests."""
    async with serving(tmp_path, transport=transport) as host, raw(host.port) as client:
        client.send(HEALTH)
        await answer(client)
        packet = f'40{{"session":"{token("Ann")}"}}'.encode()
        client.send(handshake() + frame(packet) + frame(b"ping", PING))
        assert "101" in await client.head()
        received: list[tuple[int, bytes]] = []
        while len(received) < 3:
            received.append(await client.frame())
        assert {(opcode, data[:2]) for opcode, data in received} >= {
            (TEXT, b"0{"),
            (TEXT, b"40"),
            (PONG, b"pi"),
        }


async def test_requests_sent_with_a_refused_handshake(transport: str, tmp_path: Path) -> None:
    """All requests behind a refused upgrade are answered."""
    async with serving(tmp_path, transport=transport) as host, raw(host.port) as client:
        client.send(HEALTH + handshake("EIO=4&transport=nothing") + HEALTH)
        assert [(await answer(client))[0] for _ in range(3)] == [200, 400, 200]


async def test_headers_of_every_answer(transport: str, tmp_path: Path) -> None:
    """Every response has nosniff, and none reveals the server's name or version."""
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


async def test_nonsensical_methods_and_upgrades(
    transport: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nonsensical requests are answered or closed, without a traceback in the log."""
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
    """A load balancer may send many clients' requests over a few connections."""
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
