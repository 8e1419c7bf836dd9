"""Floods: a client that sends more than the limits is closed, and others are not affected."""

import asyncio
import base64
import gc
import gzip
import os
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.hostile.attack import frame, honest, pour, websocket
from tests.hostile.floods import FLOODS
from tests.hostile.victim import victim
from tests.kit.hosts import PATIENCE, serving, token, url
from tests.kit.protocol_client import BINARY, http_client

TRANSPORTS = ["fast", "stock"]
ATTACKERS = 10
MB = 1 << 20


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("flood", FLOODS)
async def test_flooders_are_closed(flood: str, transport: str, tmp_path: Path) -> None:
    """Ten flooders are closed at a bounded cost, and the others are served."""
    async with victim(tmp_path, TRANSPORT=transport) as host, AsyncExitStack() as stack:
        await stack.enter_async_context(honest(host.port))
        flooders = [
            await stack.enter_async_context(websocket(host.port, f"Eve {n}"))
            for n in range(ATTACKERS)
        ]
        cpu, rss = host.cpu(), host.rss()
        await asyncio.gather(*(pour(eve, FLOODS[flood], 16 * MB) for eve in flooders))
        assert host.cpu() - cpu < (1.0 if transport == "fast" else 20.0)
        assert host.rss() - rss < 20 * MB


@pytest.mark.parametrize("flood", [b"3", b"6", b"40", b'40{"session":"nonsense"}', b"40/x,"])
async def test_lower_limit_before_joining(flood: bytes, tmp_path: Path) -> None:
    """Before joining, a client may send very little."""
    async with victim(tmp_path) as host, AsyncExitStack() as stack:
        await stack.enter_async_context(honest(host.port))
        flooders = [await stack.enter_async_context(websocket(host.port)) for _ in range(ATTACKERS)]
        cpu = host.cpu()
        await asyncio.gather(*(pour(eve, frame(flood), 16 * MB) for eve in flooders))
        assert host.cpu() - cpu < 0.5


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("packet", ["41", "3", "6", '42["x"]', "43[]", "41/x,", "40/x,", "2"])
async def test_many_packets_in_one_post(packet: str, transport: str, tmp_path: Path) -> None:
    """A POST full of small packets costs less than a microsecond a byte, and no client is lost."""
    async with (
        victim(tmp_path, TRANSPORT=transport) as host,
        honest(host.port),
        http_client(host.port) as http,
    ):
        eve = await http.open()
        assert (await eve.post(f'40{{"session":"{token("Eve")}"}}'))[0] == 200
        body = "\x1e".join([packet] * (99_000 // (len(packet) + 1)))
        cpu = host.cpu()
        await eve.post(body)
        assert host.cpu() - cpu < 0.1 + len(body) / 1e6


async def test_compressed_post_is_refused(tmp_path: Path) -> None:
    """A compressed body is refused without being inflated."""
    async with victim(tmp_path) as host, http_client(host.port) as http:
        eve = await http.open()
        body = gzip.compress("\x1e".join(["41"] * 33_000).encode())
        cpu = host.cpu()
        status, _ = await http.ask(
            "POST",
            body,
            EIO="4",
            transport="polling",
            sid=eve.sid,
            headers={"Content-Encoding": "gzip"},
        )
        assert status >= 400
        assert host.cpu() - cpu < 0.1
        assert len(body) < 200


async def test_flood_of_posts_is_closed(tmp_path: Path) -> None:
    """Small POSTs in a row count as packets."""
    async with victim(tmp_path) as host, honest(host.port), http_client(host.port) as http:
        eve = await http.open()
        cpu = host.cpu()
        for _ in range(1_000):
            status, _ = await eve.post("6")
            if status != 200:
                break
        assert status == 400
        assert host.cpu() - cpu < 1.0


async def test_half_sent_attachments_are_bounded(tmp_path: Path) -> None:
    """Incomplete attachments of all clients share one budget."""
    header = frame(b'510-["x",' + b",".join([b"[]"] * 20_000) + b"]")
    part = frame(os.urandom(10_000), BINARY)
    async with victim(tmp_path) as host, AsyncExitStack() as stack:
        await stack.enter_async_context(honest(host.port))
        rss = host.rss()
        for n in range(400):
            eve = await stack.enter_async_context(websocket(host.port, f"Eve {n}"))
            eve.send(header + part)
            await eve.writer.drain()
        assert (await host.health())["status"] == "ok"
        assert host.rss() - rss < 60 * MB


async def test_attachments_count_together(tmp_path: Path) -> None:
    """A packet and its attachments share the limit MAX_PAYLOAD."""
    async with victim(tmp_path) as host, websocket(host.port, "Eve") as eve:
        eve.send(frame(b'53-["x",{"_placeholder":true,"num":0}]'))
        for _ in range(2):
            eve.send(frame(bytes(60_000), BINARY))
        assert await eve.close_code() == 1008


async def test_attachment_is_placed_once(tmp_path: Path) -> None:
    """An attachment can be used only once, or a small packet could become large."""
    place = b'{"_placeholder":true,"num":0}'
    async with victim(tmp_path) as host, websocket(host.port, "Eve") as eve:
        eve.send(frame(b'51-["x",' + place + b"," + place + b"]") + frame(b"...", BINARY))
        assert await eve.close_code() == 1008


@pytest.mark.parametrize(
    "data",
    [
        frame(b'40{"session":"' + b"x" * 98_000 + b'"}'),
        frame(b'51-["x"]') + frame(bytes(10_000), BINARY),
        frame(b'40{"session":"' + b"x" * 98_000, final=False),
        frame(bytes(90_000), BINARY),
        frame(b'42["busy",true]'),
    ],
    ids=["long CONNECT", "attachment", "fragment", "binary", "event"],
)
async def test_only_a_connect_before_joining(data: bytes, tmp_path: Path) -> None:
    """Before joining, a client may send a CONNECT of 4 kB, and is closed for anything else."""
    async with victim(tmp_path) as host, AsyncExitStack() as stack:
        rss = host.rss()
        for _ in range(100):
            eve = await stack.enter_async_context(websocket(host.port))
            eve.send(data)
            assert await eve.close_code() in (1008, 1009)
        assert host.rss() - rss < 10 * MB


async def test_long_connect_by_polling(tmp_path: Path) -> None:
    """By polling, a CONNECT may have at most 4 kB too."""
    async with victim(tmp_path) as host, http_client(host.port) as http:
        rss = host.rss()

        async def knock() -> int:
            eve = await http.open()
            return (await eve.post(f'40{{"session":"{"x" * 98_000}"}}'))[0]

        for _ in range(4):
            assert set(await asyncio.gather(*(knock() for _ in range(25)))) == {413}
        assert host.rss() - rss < 10 * MB


async def test_fragments_without_end_are_bounded(tmp_path: Path) -> None:
    """Messages without a last fragment share one budget."""
    part = frame(bytes(90_000), final=False)
    async with victim(tmp_path) as host, AsyncExitStack() as stack:
        await stack.enter_async_context(honest(host.port))
        rss = host.rss()
        for n in range(450):
            eve = await stack.enter_async_context(websocket(host.port, f"Eve {n}"))
            eve.send(part)
            await eve.writer.drain()
        assert (await host.health())["status"] == "ok"
        assert host.rss() - rss < 60 * MB


async def test_bodies_without_end_are_bounded(tmp_path: Path) -> None:
    """POSTs whose body never ends share the same budget."""
    async with victim(tmp_path) as host, AsyncExitStack() as stack:
        http = await stack.enter_async_context(http_client(host.port))
        rss = host.rss()
        for n in range(400):
            eve = await http.open()
            await eve.post(f'40{{"session":"{token(f"Eve {n}")}"}}')
            _, writer = await asyncio.open_connection("127.0.0.1", host.port)
            stack.callback(writer.close)
            writer.write(
                f"POST /socket.io/?EIO=4&transport=polling&sid={eve.sid} HTTP/1.1\r\n"
                "Host: x\r\nContent-Length: 99000\r\n\r\n".encode()
                + b"4" * 98_000
            )
            await writer.drain()
        assert (await host.health())["status"] == "ok"
        assert host.rss() - rss < 60 * MB


async def test_an_upload_is_slowed_down_not_closed(tmp_path: Path) -> None:
    """Bytes beyond the rate have to wait, but the client stays connected."""
    event = frame(b'421["draft","' + b"x" * 50_000 + b'"]')
    async with victim(tmp_path) as host, websocket(host.port, "Ann") as ann:
        for _ in range(60):
            ann.send(event)
            await ann.writer.drain()
            while not (await ann.frame())[1].startswith(b"431"):
                pass


async def test_refused_clients_leave_nothing_behind(tmp_path: Path) -> None:
    """Ten thousand refused CONNECTs leave no memory behind, not even garbage."""
    async with victim(tmp_path) as host, aiohttp.ClientSession() as http:
        address = f"{host.url}/socket.io/?EIO=4&transport=websocket"
        forged = base64.b64encode(os.urandom(1_500)).decode()

        async def refused(times: int) -> None:
            for _ in range(times):
                async with http.ws_connect(address) as ws:
                    await ws.receive_str()
                    for _ in range(5):
                        await ws.send_str(f'40{{"session":"{forged}"}}')
                        assert (await ws.receive_str()).startswith("44")

        await refused(300)  # uncollected garbage is not a leak
        rss = host.rss()
        await refused(500)
        assert host.rss() - rss < 4 * MB


@pytest.mark.parametrize(
    "packet",
    [
        '40{"session":"forged"}',
        f'40{{"session":"{"=" * 3_000}"}}',
        '40{"pid":"forged","offset":"x"}',
        '40{"session":"\\ud800"}',
        "40[",
        '42["x"]',
        "nonsense",
        "51-[1]",
        "4",
        "b",
    ],
)
async def test_no_exception_survives(packet: str, tmp_path: Path) -> None:
    """The exception that refuses a client is freed at once, with the client's data."""

    def exceptions() -> int:
        return sum(isinstance(thing, BaseException) for thing in gc.get_objects())

    async with serving(tmp_path) as host, aiohttp.ClientSession() as http:
        gc.collect()
        gc.disable()
        try:
            before = exceptions()
            for _ in range(20):
                async with http.ws_connect(
                    f"{url(host)}/socket.io/?EIO=4&transport=websocket"
                ) as ws:
                    await ws.receive()
                    await ws.send_str(packet)
                    await ws.receive()
            async with asyncio.timeout(PATIENCE):
                while host.transport.connections():  # noqa: ASYNC110 - nothing signals it
                    await asyncio.sleep(0.01)
            assert exceptions() - before < 10
        finally:
            gc.enable()
