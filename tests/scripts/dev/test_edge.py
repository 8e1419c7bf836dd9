"""The local edge does what the template says, as CloudFront would, with recording origins."""

import asyncio
import socket
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.commands.dev import http_api
from scripts.commands.dev.function import Function
from scripts.commands.dev.origin_request import MAX_BODY
from scripts.commands.dev.origins import FunctionOrigin
from scripts.commands.dev.template import FUNCTION, SOCKET_HOST
from tests.scripts.dev.edges import (
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

POSTING = "AllowedMethods: [GET, HEAD, OPTIONS, PUT, PATCH, POST, DELETE]"
ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3 # AllViewer\n            Compress"
EXCEPT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
CORS_ONLY = "59781a5b-3903-41f3-afcb-af62929ccde1\n            Compress"


def host(edge: RunningEdge) -> Recorder:
    origin = edge.origins["socket-host"]
    assert isinstance(origin, Recorder)
    return origin


def pages(edge: RunningEdge) -> Recorder:
    origin = edge.origins["function"]
    assert isinstance(origin, Recorder)
    return origin


@pytest.mark.parametrize(
    ("target", "origin"),
    [
        ("/", "pages"),
        ("/socket.io", "host"),
        ("/socket.io/", "host"),
        ("/socket.io/?EIO=4&transport=polling", "host"),
        ("/socket.io?EIO=4", "host"),
        ("/socket.iox/", "pages"),
        ("/SOCKET.IO/", "pages"),
        ("/static/socket.io/", "pages"),
        ("/a/socket.io/", "pages"),
    ],
)
async def test_paths(target: str, origin: str) -> None:
    """Both spellings of the socket path, and no other paths, lead to the socket host."""
    async with running() as edge:
        assert (await edge.get(target)).endswith(origin)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"])
async def test_methods(method: str) -> None:
    """Pages and sockets accept every method, static files only GET and HEAD."""
    async with running() as edge:
        assert status(await edge.get("/socket.io/", method=method)) == 200
        assert status(await edge.get("/", method=method)) == 200
        static = 200 if method in ("GET", "HEAD") else 403
        assert status(await edge.get("/static/x.js", method=method)) == static


async def test_template_without_post() -> None:
    """A template without POST breaks long polling here too, and a message says where."""
    async with running(changed((POSTING, "AllowedMethods: [GET, HEAD]"))) as edge:
        answer = await edge.get("/socket.io/", method="POST", body="40")
        assert status(answer) == 403
        assert "The behaviour /socket.io/* does not allow POST, only GET, HEAD." in answer
        assert host(edge).requests == []


async def test_template_with_another_pattern() -> None:
    """A changed pattern takes effect here."""
    async with running(changed(("PathPattern: /socket.io/*", "PathPattern: /live/*"))) as edge:
        assert (await edge.get("/socket.io/")).endswith("pages")
        assert (await edge.get("/socket.io")).endswith("host")
        assert (await edge.get("/live/")).endswith("host")


async def test_template_in_another_order() -> None:
    """A broad pattern that comes first matches what was meant for a later one."""
    broad = changed(("PathPattern: /socket.io\n", "PathPattern: /*\n"))
    async with running(broad) as edge:
        assert (await edge.get("/static/x.js")).endswith("host")


async def test_template_replaced_while_running() -> None:
    """A new template takes effect from the next request on."""
    async with running() as edge:
        assert (await edge.get("/live/")).endswith("pages")
        edge.edge.template = changed(("PathPattern: /socket.io/*", "PathPattern: /live/*"))
        assert (await edge.get("/live/")).endswith("host")


class Unused:
    """A function that must not be called."""

    async def invoke(self, event: object) -> object:
        raise AssertionError("the function was asked")


async def test_template_that_forwards_host_to_the_function() -> None:
    """A policy that forwards Host fails, because an HTTP API accepts only its own name."""

    origins = {FUNCTION: FunctionOrigin(cast(Function, Unused())), SOCKET_HOST: Recorder("host")}
    template = changed((EXCEPT_HOST, ALL_VIEWER.partition(" ")[0]))
    async with running(template, origins) as edge:
        answer = await edge.get("/")
        assert status(answer) == 403
        assert "AllViewerExceptHostHeader" in answer


VIEWER = ("Cookie: a=1", "X-Own: 1", "User-Agent: Browser", "X-Forwarded-For: 192.0.2.4")


async def test_what_the_host_sees() -> None:
    """The host gets the whole request, including Host, and the viewer's address."""
    async with running() as edge:
        await edge.get("/socket.io/?EIO=4", *VIEWER)
        request = host(edge).requests[0]
        assert (request.path, request.query) == ("/socket.io/", "EIO=4")
        assert host(edge).headers == {
            "host": "viewer.test",
            "cookie": "a=1",
            "x-own": "1",
            "user-agent": "Browser",
            "x-forwarded-for": "192.0.2.4,127.0.0.1",
        }
        assert request.read_timeout == 60


async def test_what_pages_see() -> None:
    """The function gets everything except the viewer's Host."""
    async with running() as edge:
        await edge.get("/?a=1", *VIEWER)
        assert pages(edge).requests[0].query == "a=1"
        seen = pages(edge).headers
        own = {"x-forwarded-for", "x-forwarded-host"}
        assert set(seen) == {"cookie", "x-own", "user-agent"} | own
        assert seen["x-forwarded-host"] == "viewer.test"


async def test_what_static_files_see() -> None:
    """A request for a cached file has no cookies, query or other varying parts."""
    async with running() as edge:
        await edge.get("/static/x.js?a=1", *VIEWER, "Accept-Encoding: br")
        assert pages(edge).requests[0].query == ""
        assert pages(edge).headers == {
            "accept-encoding": "br",
            "user-agent": "Amazon CloudFront",
            "x-forwarded-for": "192.0.2.4,127.0.0.1",
            "x-forwarded-host": "viewer.test",
        }


async def test_template_without_cookies() -> None:
    """A policy without cookies and query breaks sessions and polling here too."""
    async with running(changed((ALL_VIEWER, CORS_ONLY))) as edge:
        await edge.get("/socket.io/?EIO=4", *VIEWER, "Origin: https://a.test")
        assert host(edge).requests[0].query == ""
        assert "cookie" not in host(edge).headers
        assert host(edge).headers["origin"] == "https://a.test"


@given(
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#")),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#?")),
)
@settings(max_examples=50, deadline=None)
def test_target_is_unchanged(query: str, path: str) -> None:
    """Path and query reach the origin byte for byte."""

    async def ask() -> None:
        async with running() as edge:
            await edge.get(f"/p{path}?{query}")
            request = pages(edge).requests[0]
            assert (request.path, request.query) == (f"/p{path}", query)

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("target", "path"),
    [("http://elsewhere.test/a?b", "/a"), ("HTTP://a//b", "//b"), ("//a", "//a"), ("/a#b", "/a")],
)
async def test_unusual_targets(target: str, path: str) -> None:
    """A target in absolute form, or any other, refers to a path of this site."""
    async with running() as edge:
        assert status(await edge.get(target)) == 200
        assert pages(edge).requests[0].path == path


async def test_target_that_is_not_a_path() -> None:
    """A target that is not a path, or not ASCII, is refused."""
    async with running() as edge:
        assert status(await edge.get("*", method="OPTIONS")) == 400
        assert " 400 " in await edge.get("/\xe9")


async def test_get_with_a_body() -> None:
    """A GET with a body gets a 403, as from CloudFront."""
    async with running() as edge:
        assert status(await edge.get("/", body="a")) == 403
        assert status(await edge.get("/", method="POST", body="a")) == 200
        assert pages(edge).requests[0].body == b"a"


async def test_body_too_large() -> None:
    """A body above the HTTP API's limit is refused, announced or not, and not read further."""
    async with running() as edge:
        announced = f"Content-Length: {MAX_BODY + 1}"
        assert status(await edge.get("/", announced, method="POST")) == 413
        chunk = b"%x\r\n%s\r\n" % (1 << 20, b"a" * (1 << 20))
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = await edge.ask(head + chunk * 11, until=b"bytes.")
        assert status(answer) == 413
        assert pages(edge).requests == []


async def test_malformed_body() -> None:
    """A body that does not match its headers is refused with a message."""
    async with running() as edge:
        head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = await edge.ask(f"{head}1\r\na\r\nnonsense\r\n")
        assert " 400 " in answer
        assert "Traceback" not in answer
        assert pages(edge).requests == []


async def test_expect_continue() -> None:
    """A client that sends Expect: 100-continue gets a 100."""
    async with running() as edge:
        answer = await edge.get("/", "Expect: 100-continue", method="POST", body="a")
        assert answer.startswith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


async def test_expect_continue_before_it_existed() -> None:
    """HTTP/1.0 clients do not understand a 100 response."""
    async with running() as edge:
        head = "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na"
        assert (await edge.ask(head)).startswith("HTTP/1.0 200 OK")


@pytest.mark.parametrize(
    ("name", "is_known"),
    [
        ("localhost", True),
        ("LOCALHOST:3000", True),
        ("localhost.:3000", True),
        ("shop.localhost:3000", True),
        ("127.0.0.1:3000", True),
        ("host.docker.internal:3000", True),
        ("192.168.1.5", True),
        ("[::1]:3000", True),
        ("abc.tunnel.example", True),
        ("ABC.tunnel.example:443", True),
        ("evil.example:3000", False),
        ("localhost.evil.example", False),
        ("evillocalhost", False),
        ("abc.tunnel.example.evil.example", False),
        ("[evil.example]", False),
    ],
)
async def test_names(name: str, is_known: bool) -> None:
    """Requests for an unknown host name are refused, because anybody's DNS could point it here."""
    async with running(names=["abc.tunnel.example"]) as edge:
        for target in ("/", "/socket.io/?EIO=4"):
            answer = await edge.ask(
                f"GET {target} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
            )
            assert status(answer) == (200 if is_known else 403)
            assert ("PUBLIC_ORIGIN=" in answer) is not is_known
        assert bool(pages(edge).requests) is bool(host(edge).requests) is is_known


async def test_request_without_a_name() -> None:
    """HTTP/1.0 needs none."""
    async with running(names=[]) as edge:
        assert (await edge.ask("GET / HTTP/1.0\r\n\r\n")).startswith("HTTP/1.0 200 OK")


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /caf\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: a\r\n" * 1_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nA b\r\n\r\n",
    ],
    ids=range(5),
)
async def test_malformed_request(request_: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A request that is not HTTP gets a 400, and prints no traceback on the terminal."""
    async with running() as edge:
        assert " 400 " in (await edge.ask(request_)).partition("\r\n")[0]
    assert not caplog.records


async def test_long_headers(caplog: pytest.LogCaptureFixture) -> None:
    """Cookies of many sites on localhost are too much for an HTTP API, and the error says so."""
    pages = FunctionOrigin(cast(Function, Unused()))
    origins = {FUNCTION: pages, SOCKET_HOST: Recorder("host")}
    async with running(origins=origins) as edge:
        answer = await edge.get("/", f"Cookie: a={'b' * 11_000}")
        assert status(answer) == 431
        assert "11,008 of them for cookies" in answer
        assert status(await edge.get(f"/?{'a' * 11_000}")) == 431
        assert status(await edge.get("/socket.io/", f"Cookie: a={'b' * 11_000}")) == 200
    assert not caplog.records


async def test_slow_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that takes longer than an HTTP API waits fails here too, not only in the cloud."""
    monkeypatch.setattr(http_api, "SECONDS", 0.05)
    ended = asyncio.Event()

    class Slow:
        async def invoke(self, event: object) -> None:
            try:
                await asyncio.sleep(10 * PATIENCE)
            finally:
                ended.set()

    origins = {FUNCTION: FunctionOrigin(cast(Function, Slow())), SOCKET_HOST: Recorder("host")}
    async with running(origins=origins) as edge:
        answer = await edge.get("/")
        assert status(answer) == 503
        assert "an HTTP API waits no longer" in answer
    assert ended.is_set()


async def test_compressed_body_is_unchanged() -> None:
    """A request's body is not decompressed."""
    async with running() as edge:
        await edge.get("/", "Content-Encoding: gzip", method="POST", body="not even gzip")
        assert pages(edge).requests[0].body == b"not even gzip"


async def test_refusals_for_browsers() -> None:
    """A browser gets a page with everything escaped, other clients plain text."""
    async with running() as edge:
        page = await edge.get("/static/x", "Accept: text/html,*/*", method="POST")
        assert "Content-Type: text/html" in page
        assert "<h1>The behaviour /static/* does not allow POST, only GET, HEAD." in page
        assert "Content-Type: text/plain" in await edge.get("/static/x", method="POST")


@pytest.mark.parametrize("target", ["/", "/socket.iox/", "/static/x.js", "/rooms/a"])
async def test_upgrade_of_a_page(target: str) -> None:
    """An upgrade on a path without sockets gets a 404 at once, and is closed."""
    async with running() as edge:
        answer = await edge.ask(upgrade(target))  # returns when the edge has closed
        assert status(answer) == 404
        assert "Connection: close" in answer
        assert f"No websocket can be opened at {target}" in answer
        assert pages(edge).requests == []


async def test_upgrades_reset_halfway() -> None:
    """Upgrades to a wrong path whose client resets at any time leave nothing open."""
    request = upgrade("/page").encode()
    async with running() as edge:
        before = open_files()
        for cut in range(0, 3 * len(request), 2):
            client = socket.create_connection(("127.0.0.1", edge.port), PATIENCE)
            client.sendall((request + b"\x81\x85frames" * 40)[:cut])
            reset(client)
        assert status(await edge.get("/")) == 200
        await eventually(lambda: open_files() <= before)


async def test_other_upgrades_are_ignored() -> None:
    """An offer of HTTP/2 is not a websocket; the page is served as usual."""
    async with running() as edge:
        answer = await edge.get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c")
        assert status(answer) == 200
        assert "upgrade" not in pages(edge).headers
