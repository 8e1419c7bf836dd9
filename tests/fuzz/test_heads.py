"""Heads of requests: any bytes are parsed or refused, with the same result the second time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

from hypothesis import example, given
from hypothesis import strategies as st

from socket_host.transport.native.environ import Environ
from socket_host.transport.native.head import Head
from socket_host.transport.native.refusal import Refusal
from tests.fuzz.effort import examples
from tests.fuzz.target import Target

T = TypeVar("T")


def check(data: bytes) -> None:
    """Check lines as a head, without the empty line at its end."""
    raw = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n").partition(b"\r\n\r\n")[0]
    head = _unless_refused(lambda: Head(raw))
    again = _unless_refused(lambda: Head(raw))  # from cached lines
    assert (head is None) == (again is None)
    if head is None or again is None:
        return
    assert head.headers == again.headers
    for name, value in head.headers.items():
        assert name == name.lower()
        assert not any(character in value for character in "\0\r\n")
    _check_parameters(head)
    accepted = _unless_refused(head.accept)
    assert accepted is None or (head.method == "GET" and accepted.startswith(b"HTTP/1.1 101 "))
    _check_environ(head)


def _unless_refused(call: Callable[[], T]) -> T | None:
    try:
        return call()
    except Refusal as refusal:
        return _check_refusal(refusal)


def _check_refusal(refusal: Refusal) -> None:
    assert json.loads(refusal.body)["code"] == refusal.code
    assert refusal.response.startswith(b"HTTP/1.1 4")


def _check_parameters(head: Head) -> None:
    parameters = _unless_refused(head.parameters)
    if parameters is not None:
        assert len(parameters) <= 1_001
        assert sum(len(one) for pair in parameters.items() for one in pair) <= len(head.query)


def _check_environ(head: Head) -> None:
    environ = Environ(head, ("192.0.2.7", 1))
    cookie = environ.get("HTTP_COOKIE")
    before = dict(environ)
    environ.compact()
    after = dict(environ)
    assert before.pop("aiohttp.request").url == after.pop("aiohttp.request").url
    assert before == after
    assert environ.get("HTTP_COOKIE") == cookie == head.headers.get("cookie")
    environ["own"] = values = {}  # type: Any
    environ.compact()
    assert environ["own"] is values


_names = st.sampled_from(["Host", "Cookie", "cookie", "Upgrade", "Connection", "Origin", "X-é"])
_names |= st.sampled_from(["Sec-WebSocket-Key", "Sec-WebSocket-Version", "Content-Length", ""])
_values = st.sampled_from(["websocket", "Upgrade", "13", "dGhlIHNhbXBsZSBub25jZQ==", "a=b", "\t"])
_values |= st.text(max_size=6)
_queries = st.sampled_from(["EIO=4&transport=websocket", "a=%zz&&b+", "%C3%28=%00", "&" * 40, ""])
_lines = st.builds("{}:{}{}".format, _names, st.sampled_from(["", " ", "\t "]), _values)
_lines |= st.text(max_size=8)
_heads = st.builds(
    "{} /socket.io/?{} {}\n{}".format,
    st.sampled_from(["GET", "POST", "", "G T"]),
    _queries | st.text(max_size=9),
    st.sampled_from(["HTTP/1.1", "HTTP/1.0", ""]),
    st.lists(_lines, max_size=6).map("\n".join),
)

_PLAIN = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\nHost: x\nUpgrade: websocket\n"
    b"Connection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
)

TARGET = Target("heads", check, (*_PLAIN.split(b"\n"), b"\n", b"Cookie: a=b", b"%41", b"&", b"="))


@examples(300)
@given(_heads.map(lambda text: text.encode(errors="surrogatepass")) | st.binary(max_size=60))
@example(_PLAIN)
@example(_PLAIN + b"\nCookie: a=1\ncookie: b=\xff")
@example(b"GET /?" + b"a&" * 4_000 + b" HTTP/1.1")
@example(b"GET / HTTP/1.1" + b"\na:b" * 200)
def test_any_bytes(data: bytes) -> None:
    """A head is parsed or refused, and its environment is the same when compacted."""
    check(data)
