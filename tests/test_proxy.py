"""Through the edge to a host: polls, posts and websockets arrive whole, once, or not at all."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import (
    ClientSession,
    ClientWebSocketResponse,
    TCPConnector,
    WSMsgType,
    WSServerHandshakeError,
    web,
)

from scripts.commands.dev.host import Host
from scripts.commands.dev.listeners import listen
from scripts.commands.dev.origins import HostOrigin, PagesOrigin
from scripts.commands.dev.proxy import Proxy
from tests.edges import (
    PATIENCE,
    Recorder,
    RunningEdge,
    changed,
    eventually,
    open_files,
    reset,
    running,
    status,
    upgrade,
)

UPGRADE = upgrade("/socket.io/").encode()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def host(handler: Handler) -> AsyncIterator[tuple[RunningEdge, SimpleNamespace]]:
    """An edge, and behind it a socket host that answers everything with one handler."""
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # a host can be slow to read
    await web.SockSite(runner, listener).start()
    port = listener.getsockname()[1]
    kept = SimpleNamespace(address=f"http://127.0.0.1:{port}", why_away="It rests.")
    async with Proxy() as proxy:
        origins = {
            "function": Recorder("pages"),
            "socket-host": HostOrigin(cast(Host, kept), proxy),
        }
        async with running(origins=origins) as edge:
            try:
                yield edge, kept
            finally:
                await runner.cleanup()


async def echo(request: web.Request) -> web.Response:
    lines = [f"{request.method} {request.raw_path}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    return web.Response(
        text="\n".join([*lines, await request.text()]),
        headers=[("Set-Cookie", "a"), ("Set-Cookie", "b")],
    )


async def test_request_and_answer_arrive_whole() -> None:
    """Method, target, headers and body reach the host, its status, headers and body the viewer."""
    async with host(echo) as (edge, _):
        answer = await edge.get("/socket.io/?a=%2F&b=+", "X-Own: 1", method="POST", body="4hello")
        assert status(answer) == 200
        assert "Set-Cookie: a\r\nSet-Cookie: b\r\n" in answer
        body = answer.partition("\r\n\r\n")[2]
        lines = body.splitlines()
        assert lines[0] == "POST /socket.io/?a=%2F&b=+"
        assert lines[-1] == "4hello"
        assert {"Host: viewer.test", "X-Own: 1", "X-Forwarded-For: 127.0.0.1"} <= set(lines)
        assert "User-Agent" not in body  # the viewer sent none


@pytest.mark.parametrize("target", ["/socket.io/../x", "/socket.io/%2e%2E/", "/socket.io//a%20%2f"])
async def test_target_is_not_tidied(target: str) -> None:
    """The host gets the path as the viewer wrote it, whatever the edge compared it as."""
    everything = changed(("PathPattern: /socket.io/*", "PathPattern: /*"))
    async with host(echo) as (edge, _):
        edge.edge.template = everything
        assert f"GET {target}?a\n" in await edge.get(f"{target}?a")


async def test_compressed_answer_is_passed_as_it_is() -> None:
    """An answer is not unpacked on the way."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=b"not even gzip", headers={"Content-Encoding": "gzip"})

    async with host(handler) as (edge, _):
        answer = await edge.get("/socket.io/", "Accept-Encoding: gzip")
        assert "Content-Encoding: gzip\r\n" in answer
        assert answer.endswith("not even gzip")


async def test_status_without_a_body() -> None:
    """HEAD and 304 answers stay without a body, and keep what they say about its length."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=b"12345") if request.method == "HEAD" else web.Response(status=304)

    async with host(handler) as (edge, _):
        assert "Content-Length: 5\r\n" in await edge.get("/socket.io/", method="HEAD")
        assert (await edge.get("/socket.io/")).endswith("\r\n\r\n")


async def test_answer_is_passed_on_as_it_comes() -> None:
    """What the host has sent so far is with the viewer before the host has finished."""
    more = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await more.wait()
        await response.write(b"second")
        return response

    async with host(handler) as (edge, _), ClientSession() as session:
        answer = await session.get(f"{edge.url}/socket.io/")
        assert await answer.content.readexactly(5) == b"first"
        more.set()
        assert await answer.content.read() == b"second"


async def test_answer_cut_short() -> None:
    """Half an answer is cut off for the viewer too, not made a whole one."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport
        request.transport.abort()
        return response

    async with host(handler) as (edge, _):
        answer = await edge.get("/socket.io/")
        assert "half" in answer
        assert not answer.endswith("0\r\n\r\n")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_nothing_is_sent_twice(method: str) -> None:
    """A request whose connection breaks is answered 502, never sent again: it may have arrived."""
    requests = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal requests
        requests += 1
        if requests == 1:
            return web.Response()
        assert request.transport
        request.transport.abort()
        return web.Response()

    async with host(handler) as (edge, _):
        assert status(await edge.get("/socket.io/")) == 200
        assert status(await edge.get("/socket.io/", method=method)) == 502  # over the same one
        assert requests == 2


async def test_connections_are_kept() -> None:
    """Requests one after the other reach the host over one connection."""
    ports = set()

    async def handler(request: web.Request) -> web.Response:
        assert request.transport
        ports.add(request.transport.get_extra_info("peername"))
        return web.Response()

    async with host(handler) as (edge, _):
        for _ in range(5):
            await edge.get("/socket.io/", method="POST", body="a")
        assert len(ports) == 1


async def test_silent_host() -> None:
    """A host that says nothing for as long as the template allows is given up with a 504."""

    async def handler(request: web.Request) -> web.Response:
        await asyncio.sleep(PATIENCE)
        return web.Response()

    async with host(handler) as (edge, _):
        edge.edge.template = changed(("OriginReadTimeout: 60", "OriginReadTimeout: 0.1"))
        assert status(await edge.get("/socket.io/")) == 504


async def test_host_away() -> None:
    """While there is no host, the answer is a 502 with the reason, for upgrades too."""
    async with host(echo) as (edge, kept):
        kept.address = None
        answer = await edge.get("/socket.io/")
        assert status(answer) == 502
        assert answer.endswith("It rests.")
        async with ClientSession() as session:
            with pytest.raises(WSServerHandshakeError, match="502"):
                await session.ws_connect(f"{edge.url}/socket.io/")


async def test_nobody_listens() -> None:
    """A host that has just gone is a 502 at once, with a sentence."""
    async with host(echo) as (edge, kept):
        (listener, *others) = listen(0)
        kept.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for closed in (listener, *others):
            closed.close()
        answer = await edge.get("/socket.io/")
        assert status(answer) == 502
        assert "has not answered" in answer


async def test_viewer_leaves_a_poll() -> None:
    """A poll that nobody waits for any more is not kept open at the host."""
    here, gone = asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        here.set()
        assert request.transport
        await eventually(lambda: request.transport is None)
        gone.set()
        return web.Response()

    async with host(handler) as (edge, _):
        client = socket.create_connection(("127.0.0.1", edge.port), PATIENCE)
        client.sendall(b"GET /socket.io/ HTTP/1.1\r\nHost: a\r\n\r\n")
        await here.wait()
        reset(client)
        async with asyncio.timeout(PATIENCE):
            await gone.wait()


async def test_viewer_leaves_before_a_refusal(caplog: pytest.LogCaptureFixture) -> None:
    """A viewer that left is refused nothing, and the developer is shown no traceback of it."""
    here, gone = asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        here.set()
        await gone.wait()
        assert request.transport
        request.transport.abort()
        return web.Response()

    async with host(handler) as (edge, _):
        proxy = cast(HostOrigin, edge.origins["socket-host"])._proxy
        client = socket.create_connection(("127.0.0.1", edge.port), PATIENCE)
        client.sendall(UPGRADE)
        await here.wait()
        asking: list[Any] = [*proxy._tunnels]
        # Whoever answers the viewer waits for what asks the host, but does not take it along.
        waiting = len(asking[0]._callbacks)
        reset(client)
        await eventually(lambda: len(asking[0]._callbacks) < waiting)
        gone.set()
        await eventually(lambda: not proxy._tunnels)
        asking.clear()
        gc.collect()
    assert "never retrieved" not in caplog.text


async def test_pages_from_elsewhere() -> None:
    """With --pages, pages come from that address, under its host name and not the viewer's."""
    async with host(echo) as (_, kept), Proxy() as proxy:
        origins = {"function": PagesOrigin(kept.address + "/", proxy), "socket-host": Recorder("")}
        async with running(origins=origins) as edge:
            answer = await edge.get("/about?a=1", "Cookie: a=1")
            assert "GET /about?a=1\n" in answer
            assert f"Host: {kept.address.removeprefix('http://')}\n" in answer
            assert "Cookie: a=1\n" in answer


class Conversation:
    """A websocket at the host that says everything back, or closes with the code it is told."""

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
    """A websocket of a viewer, open through an edge to a host with the given handler."""
    async with (
        host(handler) as (edge, _),
        ClientSession() as session,
        session.ws_connect(f"{edge.url}/socket.io/", **options) as ws,
    ):
        yield ws, edge


async def test_websocket() -> None:
    """Text and bytes, small and large, go through a websocket in both directions and in order."""
    async with websocket(Conversation().hold, max_msg_size=0) as (ws, _):
        large = bytes(range(256)) * 20_000
        for number in range(3):
            await ws.send_str(f"text {number}")
            await ws.send_bytes(large)
        for number in range(3):
            assert await ws.receive_str(timeout=PATIENCE) == f"text {number}"
            assert await ws.receive_bytes(timeout=PATIENCE) == large


async def test_websocket_agreements() -> None:
    """Subprotocol and compression are what the two ends agree on."""
    async with websocket(Conversation().hold, protocols=["other", "chat"], compress=15) as (ws, _):
        assert ws.protocol == "chat"
        assert ws.compress == 15
        await ws.send_str("a" * 1000)
        assert await ws.receive_str(timeout=PATIENCE) == "a" * 1000


async def test_websocket_ping() -> None:
    """A ping is answered by the other end, with what it carried."""
    async with websocket(Conversation().hold, autoping=False) as (ws, _):
        await ws.ping(b"are you there")
        message = await ws.receive(PATIENCE)
        assert (message.type, message.data) == (WSMsgType.PONG, b"are you there")


async def test_websocket_closed_by_the_host() -> None:
    """The viewer learns the host's close code and reason."""
    async with websocket(Conversation().hold) as (ws, _):
        await ws.send_str("close 4001")
        message = await ws.receive(PATIENCE)
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 4001, "as told")


async def test_websocket_closed_by_the_viewer() -> None:
    """The host learns the viewer's close code."""
    conversation = Conversation()
    async with websocket(conversation.hold) as (ws, _):
        await ws.close(code=4002)
        await eventually(lambda: conversation.close_codes == [4002])


async def test_silent_websocket() -> None:
    """A websocket may be silent for longer than an answer."""
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
    """A host's refusal to upgrade comes back with its status and its words."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=403, text="Not from there.")

    async with host(handler) as (edge, _):
        answer = await edge.ask(UPGRADE, until=b"there.")
        assert status(answer) == 403


async def test_last_words() -> None:
    """What a viewer has sent before it went reaches the host to the last byte, however slowly."""
    frame = b"\x82\xfe" + (10_000).to_bytes(2) + bytes(4 + 10_000)
    heard = 0

    async def handler(request: web.Request) -> web.WebSocketResponse:
        nonlocal heard
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for _ in ws:
            heard += 1
            await asyncio.sleep(0.001)  # so that the viewer has gone long before the end
        return ws

    def send(count: int) -> None:
        with socket.create_connection(("127.0.0.1", edge.port), PATIENCE) as client:
            client.sendall(UPGRADE)
            client.recv(4096)
            client.sendall(frame * count)

    counts = range(600, 610)  # so that what is left at the end is sometimes much, sometimes little
    async with host(handler) as (edge, _):
        await asyncio.gather(*(asyncio.to_thread(send, count) for count in counts))
        await eventually(lambda: heard == sum(counts))


async def test_websockets_reset() -> None:
    """A viewer that goes with a reset, at any moment, leaves nothing open here or at the host."""
    conversation = Conversation()
    frame = b"\x81\x82\0\0\0\0ok"
    async with host(conversation.hold) as (edge, _):
        assert status(await edge.get("/socket.io/")) == 400  # no upgrade: opens what stays open
        before = open_files()
        for cut in range(0, len(UPGRADE + frame) + 1, 2):
            client = socket.create_connection(("127.0.0.1", edge.port), PATIENCE)
            client.sendall((UPGRADE + frame)[:cut])
            if cut > len(UPGRADE):
                await asyncio.to_thread(client.recv, 4096)
            reset(client)
        await eventually(lambda: open_files() <= before)


async def test_host_resets() -> None:
    """A host that goes with a reset takes the viewer's websocket along at once."""

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
    """A viewer that does not read holds the host up: the edge keeps only a little of what waits."""
    pieces, piece = 600, b"a" * 64_000  # more than the systems in between keep in their buffers
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
    """Wait until a number has stayed the same for half a second."""
    async with asyncio.timeout(PATIENCE):
        before = -1
        while before != number():
            before = number()
            await asyncio.sleep(0.5)


async def test_many_websockets() -> None:
    """Three hundred websockets are open at once, and each hears what was said to it."""
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
