"""Through the edge to a host: websockets arrive whole, in order, and leave nothing behind."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import (
    ClientSession,
    ClientWebSocketResponse,
    TCPConnector,
    WSMsgType,
    web,
)

from tests.scripts.dev.edges import (
    PATIENCE,
    RunningEdge,
    changed,
    eventually,
    open_files,
    reset,
    status,
)
from tests.scripts.dev.stand_in import UPGRADE, Handler, host


@pytest.fixture(autouse=True)
def no_reported_faults(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """However a websocket ends, scripts/dev does not report an error of its own."""
    yield
    assert "This is a fault of scripts/dev" not in capsys.readouterr().err


class Conversation:
    """A websocket at the host that echoes everything, or closes with a requested code."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.close_codes: list[int | None] = []

    async def hold(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(protocols=["chat"], max_msg_size=0)
        await ws.prepare(request)
        async for message in ws:
            self.heard.append(message.data)
            if message.type == WSMsgType.BINARY:
                await ws.send_bytes(message.data)
            elif message.data.startswith("close "):
                await ws.close(code=int(message.data[6:]), message=b"as told")
            else:
                await ws.send_str(message.data)
        self.close_codes.append(ws.close_code)
        return ws


@asynccontextmanager
async def websocket(
    handler: Handler, **options: Any
) -> AsyncIterator[tuple[ClientWebSocketResponse, RunningEdge]]:
    """A viewer's websocket, open through an edge to a host with the given handler."""
    async with (
        host(handler) as (edge, _),
        ClientSession() as session,
        session.ws_connect(f"{edge.url}/socket.io/", **options) as ws,
    ):
        yield ws, edge


async def test_websocket() -> None:
    """Text and bytes, small and large, pass a websocket in both directions, in order."""
    async with websocket(Conversation().hold, max_msg_size=0) as (ws, _):
        large = bytes(range(256)) * 20_000
        for number in range(3):
            await ws.send_str(f"text {number}")
            await ws.send_bytes(large)
        for number in range(3):
            assert await ws.receive_str(timeout=PATIENCE) == f"text {number}"
            assert await ws.receive_bytes(timeout=PATIENCE) == large


async def test_websocket_agreements() -> None:
    """The two ends agree on subprotocol and compression."""
    async with websocket(Conversation().hold, protocols=["other", "chat"], compress=15) as (ws, _):
        assert ws.protocol == "chat"
        assert ws.compress == 15
        await ws.send_str("a" * 1000)
        assert await ws.receive_str(timeout=PATIENCE) == "a" * 1000


async def test_websocket_ping() -> None:
    """A ping is answered by the other end, with its payload."""
    async with websocket(Conversation().hold, autoping=False) as (ws, _):
        await ws.ping(b"are you there")
        message = await ws.receive(PATIENCE)
        assert (message.type, message.data) == (WSMsgType.PONG, b"are you there")


async def test_websocket_closed_by_the_host() -> None:
    """The viewer gets the host's close code and reason."""
    async with websocket(Conversation().hold) as (ws, _):
        await ws.send_str("close 4001")
        message = await ws.receive(PATIENCE)
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 4001, "as told")


async def test_websocket_closed_by_the_viewer() -> None:
    """The host gets the viewer's close code."""
    conversation = Conversation()
    async with websocket(conversation.hold) as (ws, _):
        await ws.close(code=4002)
        await eventually(lambda: conversation.close_codes == [4002])


async def test_silent_websocket() -> None:
    """A websocket may be silent for longer than a response."""
    timeout = 0.1

    async def handler(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.send_str("first")
        await asyncio.sleep(4 * timeout)
        await ws.send_str("after all")
        return ws

    async with host(handler) as (edge, _), ClientSession() as session:
        edge.edge.template = changed(("OriginReadTimeout: 60", f"OriginReadTimeout: {timeout}"))
        async with session.ws_connect(f"{edge.url}/socket.io/") as ws:
            assert await ws.receive_str(timeout=PATIENCE) == "first"
            assert await ws.receive_str(timeout=PATIENCE) == "after all"


async def test_websocket_refused() -> None:
    """A host's refusal to upgrade is passed on with its status and body."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=403, text="Not from there.")

    async with host(handler) as (edge, _):
        answer = await edge.ask(UPGRADE, until=b"there.")
        assert status(answer) == 403


async def test_data_before_a_close() -> None:
    """Data that a viewer sent before it disconnected reach the host, however slowly."""
    frame = b"\x82\xfe" + (10_000).to_bytes(2) + bytes(4 + 10_000)
    heard = 0

    async def handler(request: web.Request) -> web.WebSocketResponse:
        nonlocal heard
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for _ in ws:
            heard += 1
            await asyncio.sleep(0.001)  # so that the viewer disconnects long before the end
        return ws

    def send(count: int) -> None:
        with socket.create_connection(("127.0.0.1", edge.port), PATIENCE) as client:
            client.sendall(UPGRADE)
            client.recv(4096)
            client.sendall(frame * count)

    counts = range(600, 610)  # so that different amounts are left at the end
    async with host(handler) as (edge, _):
        await asyncio.gather(*(asyncio.to_thread(send, count) for count in counts))
        await eventually(lambda: heard == sum(counts))


async def test_websockets_reset() -> None:
    """A viewer that resets at any moment leaves nothing open here or at the host."""
    conversation = Conversation()
    frame = b"\x81\x82\0\0\0\0ok"
    async with host(conversation.hold) as (edge, _):
        assert status(await edge.get("/socket.io/")) == 400  # opens the connections that are kept
        before = open_files()
        for cut in range(0, len(UPGRADE + frame) + 1, 2):
            client = socket.create_connection(("127.0.0.1", edge.port), PATIENCE)
            client.sendall((UPGRADE + frame)[:cut])
            if cut > len(UPGRADE):
                await asyncio.to_thread(client.recv, 4096)
            reset(client)
        await eventually(lambda: open_files() <= before)


async def test_host_resets() -> None:
    """If a host resets, the viewer's websocket closes at once."""

    async def handler(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        assert request.transport
        request.transport.abort()
        return ws

    async with websocket(handler) as (ws, _):
        assert (await ws.receive(PATIENCE)).type in (WSMsgType.CLOSED, WSMsgType.CLOSING)
        assert ws.close_code == 1006


async def test_slow_viewer() -> None:
    """If a viewer does not read, the host has to wait; the edge buffers only a little."""
    pieces, piece = 600, b"a" * 64_000  # more than the system's buffers can hold
    sent = 0

    async def handler(request: web.Request) -> web.WebSocketResponse:
        nonlocal sent
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        for _ in range(pieces):
            await ws.send_bytes(piece)
            sent += 1
        return ws

    def read_all() -> None:
        left = pieces * len(piece)
        while left > 0:
            data = client.recv(1 << 20)
            assert data
            left -= data.count(b"a")

    async with host(handler) as (edge, _):
        client = socket.create_connection(("127.0.0.1", edge.port), PATIENCE)
        client.sendall(UPGRADE)
        await settled(lambda: sent)
        assert sent < pieces
        async with asyncio.timeout(PATIENCE):
            await asyncio.to_thread(read_all)
        reset(client)


async def settled(number: Callable[[], int]) -> None:
    """Wait until a number has not changed for half a second."""
    async with asyncio.timeout(PATIENCE):
        before = -1
        while before != number():
            before = number()
            await asyncio.sleep(0.5)


async def test_many_websockets() -> None:
    """300 websockets are open at once, and each gets its own messages."""
    async with (
        host(Conversation().hold) as (edge, _),
        ClientSession(connector=TCPConnector(limit=0)) as session,
    ):
        url = f"{edge.url}/socket.io/"
        sockets = await asyncio.gather(*(session.ws_connect(url) for _ in range(300)))
        for number, ws in enumerate(sockets):
            await ws.send_str(str(number))
        heard = [await ws.receive_str(timeout=PATIENCE) for ws in sockets]
        assert heard == [str(number) for number in range(300)]
        await asyncio.gather(*(ws.close() for ws in sockets))
