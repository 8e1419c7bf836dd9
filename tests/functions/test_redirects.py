"""Trailing slashes are removed by one redirect; the socket path and the query are kept."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from functions.web.redirects import DropTrailingSlashes
from tests.kit.hosts import ROOT
from tests.kit.lambda_events import FRONT_DOORS, function_url, headers_of, http_api, invoke

SITE = "https://site.example"


class Resolved(NamedTuple):
    origin: str
    pathname: str
    search: str


class Resolver:
    """A WHATWG URL parser, as in browsers: Node's."""

    def __init__(self) -> None:
        script = ROOT / "tests/kit/js/resolve.mjs"
        self.process = subprocess.Popen(
            ["node", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, location: str, base: str = SITE) -> Resolved:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([location, base]), file=self.process.stdin, flush=True)
        return Resolved(**json.loads(self.process.stdout.readline()))

    def close(self) -> None:
        self.process.communicate()


@pytest.fixture(scope="module")
def resolve() -> Iterator[Resolver]:
    resolver = Resolver()
    yield resolver
    resolver.close()


def location(path: str, query: str = "", door: Any = http_api, **more: str) -> str | None:
    """Return where the function redirects a request; None if it does not."""
    answer = invoke(door(path, query, **more))
    (found,) = headers_of(answer).get("location") or [None]
    assert (found is not None) == (answer["statusCode"] == 308)
    return found


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/about/", "", "/about"),
        ("/about///", "", "/about"),
        ("/about/", "a=1", "/about?a=1"),
        ("/about/", "a=%2F&b=a+b&c=%C3%A9&d&=", "/about?a=%2F&b=a+b&c=%C3%A9&d&="),
        ("/rooms/garden/", "", "/rooms/garden"),
        ("/caf%C3%A9/", "", "/caf%C3%A9"),
        ("/a%3Fb/", "", "/a%3Fb"),
        ("/a%23b/", "x", "/a%23b?x"),
        ("/100%25/", "", "/100%25"),
        ("//", "", "/"),
        ("/./", "", "/"),
        ("/a/./", "", "/a"),
        ("/a//../", "", "/a"),
        ("//evil.example/", "", "/evil.example"),
        ("/\\evil.example/", "", "/evil.example"),
        ("/%5Cevil.example/", "", "/evil.example"),
        ("/%2Fevil.example/", "", "/evil.example"),
        ("/..//evil.example/", "", "/evil.example"),
        ("/.//evil.example/", "", "/evil.example"),
        ("/%0D%0ASet-Cookie:%20a/", "", "/%0D%0ASet-Cookie:%20a"),
        ("/%09/evil.example/", "", "/%09/evil.example"),
        ("/socket.iox/", "", "/socket.iox"),
        ("/SOCKET.IO/", "", "/SOCKET.IO"),
        ("/a/socket.io/", "", "/a/socket.io"),
    ],
)
def test_redirect(path: str, query: str, expected: str) -> None:
    """A path with trailing slashes gets a 308 to the path without, on the same site."""
    assert location(path, query) == expected


@pytest.mark.parametrize(
    "path", ["/", "/about", "/nope", "//evil.example", "/\\evil.example", "/a/.", "/socket.io"]
)
def test_no_redirect(path: str) -> None:
    """A path without a trailing slash is never redirected."""
    assert location(path) is None


@pytest.mark.parametrize("path", ["/socket.io", "/socket.io/", "/socket.io/x/", "/socket.io//"])
def test_socket_path_gets_an_explanation(path: str) -> None:
    """A socket request that reaches the function gets an explanation instead of a page."""
    answer = invoke(http_api(path, "EIO=4&transport=polling"))
    assert answer["statusCode"] == 421
    assert "socket host" in answer["body"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE"])
def test_redirect_keeps_the_method(method: str) -> None:
    """Every method is redirected with 308, so a POST stays a POST."""
    assert location("/about/", "a=1", method=method) == "/about?a=1"


@pytest.mark.parametrize("door", FRONT_DOORS)
def test_redirect_behind_every_front_door(door: Any) -> None:
    """Whichever service invoked the function, the redirect is the same."""
    assert location("/rooms/caf%C3%A9//", "a=1", door) == "/rooms/caf%C3%A9?a=1"


@pytest.mark.parametrize("door", FRONT_DOORS)
def test_path_is_decoded_once(door: Any) -> None:
    """An encoded percent sign is decoded once, whatever follows it."""
    assert location("/a%2541/", door=door) == "/a%2541"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"page"})


async def status_of(app: DropTrailingSlashes, path: str) -> int:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    await app({"type": "http", "path": path, "query_string": b""}, receive, send)
    return int(sent[0]["status"])


async def test_options() -> None:
    """The constructor sets the socket prefixes and the status."""
    app = DropTrailingSlashes(echo, socket_prefixes=["/ws", "/live"], status=301)
    paths = ["/ws/", "/live/x/", "/socket.io/", "/wsx/"]
    assert [await status_of(app, path) for path in paths] == [200, 200, 301, 301]


@pytest.mark.parametrize("options", [{"socket_prefixes": ["/ws/"]}, {"status": 200}])
def test_options_are_checked(options: dict[str, Any]) -> None:
    """A prefix that would never match, or a status that is not a redirect, is refused at once."""
    with pytest.raises(ValueError, match=r"prefix|status"):
        DropTrailingSlashes(echo, **options)


# Weighted towards what has fooled redirect code before.
_TRICKY = (
    "/ // \\ . .. %2e %2E%2e %2F %5C %09 %0A %0D %00 @ : evil.example https: javascript: "
    "%20 ? # %25 %2525 socket.io %EF%BC%8F %FF ; ~ %7F"
)
_pieces = st.one_of(st.sampled_from(_TRICKY.split()), st.text(max_size=3))
_paths = st.lists(_pieces, max_size=8).map(lambda pieces: "/" + "".join(pieces))
_queries = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"))


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(path=_paths, query=_queries, door=st.sampled_from([http_api, function_url]))
@example(path="/..//evil.example/", query="", door=http_api)
@example(path="/a/%2e/", query="b", door=http_api)
def test_any_path(path: str, query: str, door: Any, resolve: Resolver) -> None:
    """For any path: at most one redirect, on this site, with the query as it was."""
    found = location(path, query, door)
    if found is None:
        return
    first = resolve(found)
    assert first.origin == SITE
    assert first.search == resolve(f"/?{query}").search
    assert found.partition("?")[2] == query
    assert location(first.pathname, query, door) is None
