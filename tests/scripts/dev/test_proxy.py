"""Through the edge to a host: polls and posts arrive whole, once, or not at all."""

import asyncio
import gc
import socket
from typing import Any, cast

import pytest
from aiohttp import (
    ClientSession,
    WSServerHandshakeError,
    web,
)

from scripts.commands.dev.listeners import listen
from scripts.commands.dev.origins import HostOrigin, PagesOrigin
from scripts.commands.dev.proxy import Proxy
from tests.scripts.dev.edges import (
    PATIENCE,
    Recorder,
    changed,
    eventually,
    reset,
    running,
    status,
)
from tests.scripts.dev.stand_in import UPGRADE, host


async def echo(request: web.Request) -> web.Response:
    lines = [f"{request.method} {request.raw_path}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    return web.Response(
        text="\n".join([*lines, await request.text()]),
        headers=[("Set-Cookie", "a"), ("Set-Cookie", "b")],
    )


async def test_request_and_answer_arrive_whole() -> None:
    """The host gets the whole request, and the viewer the whole response."""
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
async def test_target_is_not_normalized(target: str) -> None:
    """The host gets the path as written, not as normalized for matching."""
    everything = changed(("PathPattern: /socket.io/*", "PathPattern: /*"))
    async with host(echo) as (edge, _):
        edge.edge.template = everything
        assert f"GET {target}?a\n" in await edge.get(f"{target}?a")


async def test_compressed_answer_is_unchanged() -> None:
    """A response is not decompressed."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=b"not even gzip", headers={"Content-Encoding": "gzip"})

    async with host(handler) as (edge, _):
        answer = await edge.get("/socket.io/", "Accept-Encoding: gzip")
        assert "Content-Encoding: gzip\r\n" in answer
        assert answer.endswith("not even gzip")


async def test_status_without_a_body() -> None:
    """Responses to HEAD and 304 have no body, and keep their length headers."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=b"12345") if request.method == "HEAD" else web.Response(status=304)

    async with host(handler) as (edge, _):
        assert "Content-Length: 5\r\n" in await edge.get("/socket.io/", method="HEAD")
        assert (await edge.get("/socket.io/")).endswith("\r\n\r\n")


async def test_answer_is_streamed() -> None:
    """The viewer gets the first part before the host has finished."""
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
    """A truncated response is truncated for the viewer too."""

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
    """A request whose connection breaks gets a 502 and is not repeated: it may have arrived."""
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
        assert status(await edge.get("/socket.io/", method=method)) == 502  # on the same connection
        assert requests == 2


async def test_connections_are_kept() -> None:
    """Successive requests reach the host over one connection."""
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
    """A host that exceeds the template's timeout causes a 504."""

    async def handler(request: web.Request) -> web.Response:
        await asyncio.sleep(PATIENCE)
        return web.Response()

    async with host(handler) as (edge, _):
        edge.edge.template = changed(("OriginReadTimeout: 60", "OriginReadTimeout: 0.1"))
        assert status(await edge.get("/socket.io/")) == 504


async def test_host_down() -> None:
    """Without a host, the response is a 502 with the reason, for upgrades too."""
    async with host(echo) as (edge, kept):
        kept.address = None
        answer = await edge.get("/socket.io/")
        assert status(answer) == 502
        assert answer.endswith("It rests.")
        async with ClientSession() as session:
            with pytest.raises(WSServerHandshakeError, match="502"):
                await session.ws_connect(f"{edge.url}/socket.io/")


async def test_nobody_listens() -> None:
    """A host that has just stopped causes a 502 at once, with a message."""
    async with host(echo) as (edge, kept):
        (listener, *others) = listen(0)
        kept.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for closed in (listener, *others):
            closed.close()
        answer = await edge.get("/socket.io/")
        assert status(answer) == 502
        assert "did not answer" in answer


async def test_viewer_leaves_a_poll() -> None:
    """A poll whose viewer has disconnected is not kept open at the host."""
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
    """A viewer that disconnects before a refusal causes no traceback."""
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
        # The viewer's handler waits for the exchange with the host, but does not cancel it.
        waiting = len(asking[0]._callbacks)
        reset(client)
        await eventually(lambda: len(asking[0]._callbacks) < waiting)
        gone.set()
        await eventually(lambda: not proxy._tunnels)
        asking.clear()
        gc.collect()
    assert "never retrieved" not in caplog.text


async def test_pages_from_elsewhere() -> None:
    """With --pages, pages come from that address, under its host name."""
    async with host(echo) as (_, kept), Proxy() as proxy:
        origins = {"function": PagesOrigin(kept.address + "/", proxy), "socket-host": Recorder("")}
        async with running(origins=origins) as edge:
            answer = await edge.get("/about?a=1", "Cookie: a=1")
            assert "GET /about?a=1\n" in answer
            assert f"Host: {kept.address.removeprefix('http://')}\n" in answer
            assert "Cookie: a=1\n" in answer


async def test_long_header_from_elsewhere() -> None:
    """A page may have a long header, such as a list of what to preload."""

    async def preloading(request: web.Request) -> web.Response:
        return web.Response(headers={"Link": "a" * 20_000})

    async with host(preloading) as (_, kept), Proxy() as proxy:
        origins = {"function": PagesOrigin(kept.address, proxy), "socket-host": Recorder("")}
        async with running(origins=origins) as edge:
            assert "Link: " + "a" * 20_000 in await edge.get("/")


async def test_websocket_of_a_development_server() -> None:
    """With --pages, the server of a front end can tell its pages to reload."""

    async def reload(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(protocols=["vite-hmr"])
        if not ws.can_prepare(request):
            return web.Response(text="a page")
        await ws.prepare(request)
        await ws.send_str(f"{await ws.receive_str()} at {request.path_qs}")
        await ws.close()
        return ws

    async with host(reload) as (_, kept), Proxy() as proxy:
        origins = {"function": PagesOrigin(kept.address, proxy), "socket-host": Recorder("")}
        async with running(origins=origins) as edge, ClientSession() as http:
            async with http.ws_connect(f"{edge.url}/hmr?token=1", protocols=["vite-hmr"]) as ws:
                assert ws.protocol == "vite-hmr"
                await ws.send_str("changed")
                assert await ws.receive_str(timeout=PATIENCE) == "changed at /hmr?token=1"
            async with http.get(f"{edge.url}/hmr") as answer:
                assert await answer.text() == "a page"
