"""Pages: any request gets a response, and never a server error."""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from functions.contract.session import COOKIE
from tests.fuzz.effort import examples
from tests.fuzz.target import Target
from tests.kit.lambda_events import http_api, invoke

_METHODS = ("GET", "POST", "HEAD", "PUT", "OPTIONS", "x")
_NAMES = ("cookie", "accept-encoding", "content-type", "origin", "sec-fetch-site", "host", "range")
_NAMES += ("x-forwarded-for", "authorization", "content-length", "transfer-encoding", "expect")


def check(data: bytes) -> None:
    """Check lines as a request: method and path, query, headers, an empty line, the body."""
    head, _, body = data.partition(b"\n\n")
    lines = "".join(one for one in head.decode(errors="replace") if one == "\n" or one >= " ")
    first, query, *rest = [*lines.split("\n"), ""]  # no AWS service passes control characters
    method, _, path = first.partition(" ")
    pairs = (line.partition(":") for line in rest)
    headers = {name or "x": value for name, _, value in pairs}
    check_request(method, path, query, headers, body)


def check_request(method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> None:
    """Assert that a request gets a page's response."""
    answer = invoke(_event(method, path, query, headers, body))
    assert 200 <= answer["statusCode"] < 500, answer
    sent = {name.lower(): value for name, value in answer.get("headers", {}).items()}
    assert sent["x-content-type-options"] == "nosniff"
    for name, value in sent.items():
        assert not set(name + value) & set("\r\n\0")
    location = sent.get("location", "/")
    assert location.startswith("/")
    assert location[1:2] not in ("/", "\\")


def _event(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> dict[str, Any]:
    event = http_api("/", query, method=method)
    event["rawPath"] = event["requestContext"]["http"]["path"] = "/" + path
    event["headers"] |= {name.lower(): value for name, value in headers.items()}
    if cookie := event["headers"].pop("cookie", ""):
        event["cookies"] = cookie.split("; ")
    if body:
        event["body"], event["isBase64Encoded"] = base64.b64encode(body).decode(), True
    return event


_paths = st.sampled_from(["", "about", "about/a", "static/x", "socket.io/", "no", "/"])
_paths |= st.builds("static/{}".format, st.text(max_size=5)) | st.text(max_size=6)
_queries = st.sampled_from(["", "room=a", "room=A b", "room=%ff", "room=%00", "a&" * 9]) | st.text(
    max_size=6
)
_queries = _queries.map(lambda text: "".join(one for one in text if one >= " "))  # as in `check`
_values = st.sampled_from(["", "gzip", f"{COOKIE}=x", f'{COOKIE}="', "null", "same-origin", "-1"])
_values |= st.text(max_size=6)
_headers = st.dictionaries(
    st.sampled_from(_NAMES) | st.text("ab-", min_size=1), _values, max_size=4
)
_bodies = st.sampled_from([b"", b"id=%61&text=x", b"text=" + b"x" * 70_000, b"id=a&" * 30, b"%"])
_bodies |= st.binary(max_size=20)

TARGET = Target(
    "pages",
    check,
    (
        b"GET ",
        b"POST ",
        b"about?",
        b"room=",
        b"cookie:",
        COOKIE.encode(),
        b"\n\n",
        b"id=",
        b"&text=",
        b"socket.io",
        b"static/",
        b"accept-encoding:gzip",
        b"%",
        b"\n",
    ),
)


@examples(150)
@given(st.sampled_from(_METHODS), _paths, _queries, _headers, _bodies)
@example("GET", "static/" + "a" * 10_000, "\xff", {"cookie": f"{COOKIE}=\xff"}, b"")
def test_any_request(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    """Any request gets a response with the security headers."""
    check_request(method, path, query, headers, body)
