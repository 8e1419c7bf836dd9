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
    """Check the first line as a path, decoded by the API, and the second as its query."""
    path, _, query = data.partition(b"\n")
    check_request(path.decode(errors="replace"), bytes(one for one in query if one > 32))


def check_request(path: str, query: bytes) -> None:
    """Assert that a redirect leads to the same site, and not to another redirect."""
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
    """Return the path to which browsers resolve a location's (URL standard, path state)."""
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
    """Return the status and the location of the response for a path."""
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
        answering.send(None)  # never suspends
    except StopIteration:
        return said[0]["status"], dict(said[0]["headers"]).get(b"location")
    raise AssertionError("the app is waiting")


_words = ["/", "//", "\\", ".", "..", "/./", "/../", "%2e", "%2E%2e", "%2F", "%5C", "%", "%25"]
_words += ["@", ":", "evil.example", "https:", "socket.io", " ", "?", "#", ";", "~", "\ufffd"]
_words += ["\t", "\n", "\r", "\0", "\x7f", "\u2028", "\uff0f", "\u3002", "\ud800", "é"]
_paths = st.lists(st.sampled_from(_words) | st.text(max_size=2), max_size=8).map("".join)
_queries = st.binary(max_size=6).map(lambda query: bytes(one for one in query if one > 32))

TARGET = Target("redirects", check, tuple(w.encode(errors="replace") for w in _words))


@examples(600)
@given(_paths.map(lambda path: path + "/") | _paths, _queries)
def test_any_path(path: str, query: bytes) -> None:
    """A path is redirected at most once, within the site, with its query."""
    check_request(path, query)
