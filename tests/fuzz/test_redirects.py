"""Redirects: for any path at most one, and never to another site."""

from __future__ import annotations

from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from functions.web.redirects import DropTrailingSlashes
from tests.fuzz.effort import examples
from tests.fuzz.target import Target

_REDIRECT = 308


def check(data: bytes) -> None:
    """Take the first line for a path as the API decodes it, the second for the query."""
    path, _, query = data.partition(b"\n")
    check_request(path.decode(errors="replace"), bytes(one for one in query if one > 32))


def check_request(path: str, query: bytes) -> None:
    """Assert that a browser which follows a redirect stays on the site, and is not sent on."""
    status, location = _answer("/" + path, query)
    if status != _REDIRECT:
        assert location is None
        return
    assert location is not None
    assert path.endswith("/") or path == ""
    target, _, after = location.partition(b"?")
    assert after == query
    assert all(33 <= byte <= 126 for byte in target), "a character that headers cannot have"
    resolved = _resolved(target.decode())
    assert _answer(unquote(resolved, errors="replace"), query)[0] != _REDIRECT, "a second redirect"


def _resolved(target: str) -> str:
    """Return the path that browsers make of a location's (URL standard, path state)."""
    assert target.startswith("/")
    assert target[1:2] not in ("/", "\\"), "another site"
    segments: list[str] = []
    for segment in target.replace("\\", "/").split("/")[1:]:
        plain = segment.lower().replace("%2e", ".")
        if plain == "..":
            del segments[-1:]
        elif plain != ".":
            segments.append(segment)
    if target.endswith(("/.", "/..")):
        segments.append("")
    return "/" + "/".join(segments)


def _answer(path: str, query: bytes) -> tuple[int, bytes | None]:
    """Return the status and the location that a path is answered with."""
    said: list[Message] = []

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        said.append(message)

    answering = DropTrailingSlashes(page)(
        {"type": "http", "path": path, "query_string": query}, receive, send
    )
    try:
        answering.send(None)  # it waits for nothing
    except StopIteration:
        return said[0]["status"], dict(said[0]["headers"]).get(b"location")
    raise AssertionError("it waits for something")


_words = ["/", "//", "\\", ".", "..", "/./", "/../", "%2e", "%2E%2e", "%2F", "%5C", "%", "%25"]
_words += ["@", ":", "evil.example", "https:", "socket.io", " ", "?", "#", ";", "~", "\ufffd"]
_words += ["\t", "\n", "\r", "\0", "\x7f", "\u2028", "\uff0f", "\u3002", "\ud800", "é"]
_paths = st.lists(st.sampled_from(_words) | st.text(max_size=2), max_size=8).map("".join)
_queries = st.binary(max_size=6).map(lambda query: bytes(one for one in query if one > 32))

TARGET = Target("redirects", check, tuple(w.encode(errors="replace") for w in _words))


@examples(600)
@given(_paths.map(lambda path: path + "/") | _paths, _queries)
def test_any_path(path: str, query: bytes) -> None:
    """A path is redirected once at most, to this site, and its query stays."""
    check_request(path, query)
