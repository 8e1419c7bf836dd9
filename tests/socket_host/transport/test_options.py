"""The options of python-socketio's server, all supported or refused, and its environment."""

import copy
import json
from contextlib import AsyncExitStack
from decimal import Decimal
from functools import partial
from typing import Any

import engineio.packet
import pytest
import socketio.packet

from socket_host.transport.native.socket_server import SocketServer
from tests.socket_host.transport.staging import stage

OWN_COOKIE = {"name": "node", "path": "/", "Secure": True}


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [("io", "io={}; path=/; SameSite=Lax"), (OWN_COOKIE, "node={}; path=/; Secure"), (None, "")],
)
async def test_option_cookie(cookie: Any, expected: str) -> None:
    """The response that opens a polling session sets the configured cookie."""
    async with AsyncExitStack() as stack:
        on = await stage(stack, cookie=cookie)
        query = {"EIO": "4", "transport": "polling"}
        async with on.http.session.get(on.http.base, params=query) as response:
            sid = json.loads((await response.text())[1:])["sid"]
            assert response.headers.get("Set-Cookie", "") == expected.format(sid)
        async with on.http.session.post(
            on.http.base, params=query | {"sid": sid}, data="40"
        ) as response:
            assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize(
    ("options", "accepted", "encoding"),
    [
        ({}, "gzip, deflate", "gzip"),
        ({}, "deflate;q=1, gzip;q=0.5", "gzip"),
        ({}, "gzip;q=0", None),
        ({}, "gzip; q=0.000, br", None),
        ({}, "x-gzip2", None),
        ({"compression_threshold": 100_000}, "gzip", None),
        ({"http_compression": False}, "gzip", None),
    ],
)
async def test_option_compression(
    options: dict[str, Any], accepted: str, encoding: str | None
) -> None:
    """Long responses to polls are compressed if the client accepts it and the options allow it."""
    async with AsyncExitStack() as stack:
        on = await stage(stack, **options)
        on.sio.on("echo", lambda sid, value: value)
        poller = await on.http.open()
        await poller.post("40")
        await poller.get()
        await poller.post('421["echo","%s"]' % ("x" * 10_000))
        query = {"EIO": "4", "transport": "polling", "sid": poller.sid}
        headers = {"Accept-Encoding": accepted}
        async with on.http.session.get(on.http.base, params=query, headers=headers) as response:
            assert (await response.text()).startswith('431["xxx')
            assert response.headers.get("Content-Encoding") == encoding


async def test_option_ping_interval_with_grace() -> None:
    """The interval announced to clients includes the grace period."""
    async with AsyncExitStack() as stack:
        on = await stage(stack, ping_interval=(20, 5))
        _, text = await on.http.ask(EIO="4", transport="polling")
        assert json.loads(text[1:])["pingInterval"] == 25_000


@pytest.mark.parametrize(
    "options",
    [{"async_mode": "asgi"}, {"monitor_clients": False}, {"pingInterval": 5}, {"nonsense": 1}],
)
async def test_options_that_would_do_nothing_are_refused(options: dict[str, Any]) -> None:
    """Options that python-socketio accepts, but this server would ignore, are an error."""
    with pytest.raises(TypeError, match="SocketServer"):
        SocketServer(**options)


async def test_supported_options() -> None:
    """All other options are accepted."""
    SocketServer(
        async_mode="aiohttp",
        monitor_clients=True,
        logger=False,
        engineio_logger=False,
        transports=["polling"],
        allow_upgrades=False,
        cors_credentials=False,
        always_connect=True,
        async_handlers=False,
        namespaces="*",
        max_http_buffer_size=5,
    )


async def test_other_json_reads_and_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A custom JSON module is used for every packet, in both directions."""
    for module in (socketio.packet, engineio.packet):
        monkeypatch.setattr(module.Packet, "json", module.Packet.json)  # it is set for the process

    class Decimals:
        dumps = staticmethod(partial(json.dumps, default=str))
        loads = staticmethod(partial(json.loads, parse_float=Decimal))

    async with AsyncExitStack() as stack:
        on = await stage(stack, json=Decimals)
        on.sio.on("echo", lambda sid, value: [type(value).__name__, value])
        async with on.http.websocket() as ws:
            await ws.receive()
            await ws.send("40")
            await ws.receive()
            await ws.send('421["echo",1.10]')
            assert json.loads((await ws.receive())[3:]) == [["Decimal", "1.10"]]


async def test_environ_is_the_dictionary_of_python_engineio() -> None:
    """It can be copied and merged, and has aiohttp's request, also later."""
    async with AsyncExitStack() as stack:
        on = await stage(stack)
        seen: list[dict[str, Any]] = []

        @on.sio.on("connect")
        async def connect(sid: str, environ: Any) -> None:
            assert isinstance(environ, dict)
            seen.extend(
                [environ.copy(), {**environ}, dict(environ), environ | {}, copy.copy(environ)]
            )
            assert "HTTP_HOST" in environ
            assert environ.get("HTTP_NONE", 5) == 5
            assert environ.setdefault("HTTP_NONE", 6) == 6

        on.http.session.headers["Cookie"] = "a=1; b=2"
        sid, _ = await on.client()
        later = on.sio.get_environ(sid)
        assert later.pop("HTTP_NONE") == 6
        for environ in [*seen, later]:
            request = environ["aiohttp.request"]
            assert request.cookies == {"a": "1", "b": "2"}
            assert request.headers["cookie"] == "a=1; b=2"
            assert request.query["transport"] == "websocket"
            assert request.path == "/socket.io/"
            assert request.method == "GET"
            assert request.remote == "127.0.0.1"
            assert request.version == (1, 1)
            assert {"HTTP_HOST", "HTTP_COOKIE"} <= environ.keys()
            assert environ["SERVER_SOFTWARE"] == "aiohttp"
            assert environ["wsgi.url_scheme"] == "http"
            assert await environ["wsgi.input"].read() == b""
