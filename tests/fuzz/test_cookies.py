"""Cookies: both halves find the same visitor, whatever the header contains."""

from __future__ import annotations

import asyncio
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message

from functions.contract.session import COOKIE, Session, Sessions
from functions.web.visitor import Visitors, visitor
from socket_host.namespace import Namespace
from socket_host.settings import Settings
from socket_host.transport.native.environ import Environ
from socket_host.transport.native.head import Head
from tests.fuzz.effort import examples
from tests.fuzz.target import Target
from tests.kit.hosts import SECRET

_VISITORS = ("ann", "bob")


@cache
def _token(visitor: str) -> str:
    return Sessions(SECRET).issue(Session(visitor, visitor.title()))


@cache
def _namespace() -> Namespace:
    return Namespace(Settings(session_secret=SECRET, origins=None))


def check(data: bytes) -> None:
    """Check a line as a Cookie header; `$` and `!` stand for the tokens of two visitors."""
    line = bytes(byte for byte in data if byte >= 32 and byte != 127)
    for sign, name in zip((b"$", b"!"), _VISITORS, strict=True):
        line = line.replace(sign, _token(name).encode())
    assert (host := known_to_host(line)) == known_to_page(line)
    assert host in ("", *_VISITORS)


def known_to_host(header: bytes) -> str:
    """Return the visitor that a socket host finds in a header."""
    raw = b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nCookie: " + header
    return _namespace().identify(Environ(Head(raw), None), None)


def known_to_page(header: bytes) -> str:
    """Return the visitor that a page finds in a header."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [(b"cookie", header)],
        "app": Starlette(),
    }
    said: list[bytes] = []

    async def page(scope: object, receive: object, send: object) -> None:
        request = Request(scope)  # type: ignore[arg-type]
        name = visitor(request).id if request.state.known else ""
        await PlainTextResponse(name)(scope, receive, send)  # type: ignore[arg-type]

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        said.append(message.get("body", b""))

    asyncio.run(Visitors(page, sessions=Sessions(SECRET), secure=True)(scope, receive, send))
    return b"".join(said).decode()


_names = st.sampled_from([COOKIE, f"__Host-{COOKIE}", f" {COOKIE}", COOKIE.upper(), "other", ""])
_values = st.sampled_from(["$", "!", '"$"', "$ ", " $", "", "x", "$=", '"', "$,", "\u00e9"])
_pairs = st.builds("{}{}{}".format, _names, st.sampled_from(["=", " = ", ""]), _values)
_headers = st.lists(_pairs, max_size=4).flatmap(
    lambda pairs: st.sampled_from(["; ", ";", ", ", " ;"]).map(lambda between: between.join(pairs))
)

TARGET = Target(
    "cookies", check, (COOKIE.encode(), b"__Host-", b"$", b"!", b"; ", b",", b'"', b"=")
)


@examples(200)
@given(_headers.map(str.encode) | st.binary(max_size=20))
def test_any_header(header: bytes) -> None:
    """Pages and sockets find the same visitor in any Cookie header."""
    check(header)


@pytest.mark.parametrize(
    ("header", "expected"),
    [("{}=$", "ann"), ("a=b; {}=$; c", "ann"), ("{}=x", ""), ("x{}=$", ""), ("a={}=$", "")],
)
def test_plain_header(header: str, expected: str) -> None:
    """A token is found in its own cookie, among others, and nowhere else."""
    line = header.format(COOKIE).replace("$", _token("ann")).encode()
    assert known_to_host(line) == known_to_page(line) == expected
