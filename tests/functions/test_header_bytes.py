"""Headers with any bytes, in requests and responses, cause no errors."""

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.functions.answering import site
from tests.kit.lambda_events import FRONT_DOORS, headers_of, http_api, invoke

# As they may be in an event: replaced, escaped, or decoded correctly.
VALUES = ["Jos\ufffd", "Jos\udce9", "Jos\ud83d", "José", "🦊", "\x7f", "\u2028", "a" * 8_000]


@pytest.mark.parametrize("door", FRONT_DOORS)
@pytest.mark.parametrize(
    "name", ["cookie", "user-agent", "accept", "host", "accept-encoding", "x-a"]
)
@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_any_value(value: str, name: str, door: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The page is served whatever a client puts into a header."""
    answer = invoke(door("/about", **{name: f"x={value}"}))
    assert answer["statusCode"] == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("door", FRONT_DOORS)
@pytest.mark.parametrize(
    "port",
    ["abc", "", "-1", "443, 80", "9" * 6_000, "\u00b2", "\u0661", "0x50", "8080"],
    ids=range(9),
)
def test_any_port(port: str, door: Any) -> None:
    """X-Forwarded-Port, which a client may send, is ignored if it is not a number."""
    assert invoke(door("/about", x_forwarded_port=port))["statusCode"] == 200


@pytest.mark.parametrize("host", ["", "a:b:c", "[::1]:80", "a:", ":80", "[", "é"])
def test_any_host(host: str) -> None:
    """Any host name is accepted."""
    assert invoke(http_api("/about/", host=host))["headers"]["location"] == "/about"
    assert invoke(http_api("/about", host=host))["statusCode"] == 200


@pytest.mark.parametrize("proto", ["", "javascript", "http", "https,http"])
def test_any_scheme(proto: str) -> None:
    """The scheme is http or https."""

    async def page(request: Request) -> Response:
        return PlainTextResponse(request.url.scheme)

    assert site(Route("/", page))("/", x_forwarded_proto=proto)["body"] in ("http", "https")


@pytest.mark.parametrize("door", FRONT_DOORS)
@pytest.mark.parametrize(
    "part", ["headers", "body", "cookies", "multiValueHeaders", "queryStringParameters"]
)
def test_events_without_some_parts(part: str, door: Any) -> None:
    """An event without headers or body is a valid request."""
    assert invoke(door("/about") | {part: None})["statusCode"] == 200


@pytest.mark.parametrize("door", FRONT_DOORS)
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("José", "José"),
        (b"Jos\xe9", "José"),
        ("José".encode(), "José"),
        (b"\xff\xfe", "ÿþ"),
        (b"a\r\nx-b: c\0", "a  x-b: c "),
    ],
)
def test_page_sets_any_value(value: Any, expected: str, door: Any) -> None:
    """A header set by a page, as text or as bytes, reaches the API as text."""

    async def page(request: Request) -> Response:
        response = PlainTextResponse("hello")
        raw = value if isinstance(value, bytes) else value.encode("latin-1")
        response.raw_headers += [(b"x-name", raw), (b"set-cookie", b"name=" + raw)]
        return response

    headers = headers_of(site(Route("/", page))("/", door=door))
    assert headers["x-name"] == [expected]
    assert f"name={expected}" in headers["set-cookie"]
    assert len(headers["set-cookie"]) == 2  # this one and the session's


def test_page_sets_a_name_as_starlette_does() -> None:
    """`response.headers["x-name"] = "José"` is no error."""

    async def page(request: Request) -> Response:
        return PlainTextResponse("hello", headers={"x-name": "José", "x-two": "a"})

    answer = site(Route("/", page))("/")
    assert (answer["statusCode"], answer["headers"]["x-name"]) == (200, "José")
