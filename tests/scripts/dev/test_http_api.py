"""The local HTTP API: events and responses are those of AWS."""

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.commands.dev import http_api
from scripts.commands.dev.http_api import ResultError
from scripts.commands.dev.origin_request import OriginRequest


def event(
    target: str = "/", *headers: tuple[str, str], method: str = "GET", body: bytes = b""
) -> Any:
    """The event for a request."""
    path, _, query = target.partition("?")
    request = OriginRequest(method, path, query, list(headers), body, "192.0.2.1", 30)
    return http_api.event(request)


@pytest.mark.parametrize(
    ("target", "raw_path"),
    [("/", "/"), ("/a%20b", "/a b"), ("/a%2Fb/", "/a/b/"), ("/%C3%A9", "/é"), ("/100%25", "/100%")],
)
def test_path_is_decoded(target: str, raw_path: str) -> None:
    """An event has the decoded path, in both places."""
    described = event(target)
    assert described["rawPath"] == raw_path
    assert described["requestContext"]["http"]["path"] == raw_path


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#")))
@settings(deadline=None)
def test_query_is_unchanged(query: str) -> None:
    """An event has the query byte for byte."""
    assert event(f"/?{query}")["rawQueryString"] == query


def test_query_parameters() -> None:
    """Parameters are decoded, and repeated ones joined; without a query there are none."""
    parameters = event("/?a=1&b=x%20y&a=2&c")["queryStringParameters"]
    assert parameters == {"a": "1,2", "b": "x y", "c": ""}
    assert "queryStringParameters" not in event("/")


def test_headers() -> None:
    """Header names are in lower case, repeated headers joined; the host is the API's own."""
    headers = event("/", ("X-A", "1"), ("x-a", "2"), ("Accept", "text/html"))["headers"]
    assert headers["x-a"] == "1,2"
    assert headers["accept"] == "text/html"
    assert headers["host"] == "pages.invalid"


def test_cookies() -> None:
    """Cookies are a separate list, not headers; without any, the list is absent."""
    described = event("/", ("Cookie", "a=1; b=2"), ("cookie", "c=3"))
    assert described["cookies"] == ["a=1", "b=2", "c=3"]
    assert "cookie" not in described["headers"]
    assert "cookies" not in event("/")


@pytest.mark.parametrize(
    ("content_type", "body", "as_text"),
    [
        ("text/plain; charset=utf-8", "é".encode(), True),
        ("application/json", b"{}", True),
        ("application/problem+json", b"{}", True),
        ("application/x-www-form-urlencoded", b"a=1", False),
        ("image/png", b"\x89PNG", False),
        ("", b"a", False),
        ("text/plain", b"\xff", False),
    ],
)
def test_body(content_type: str, body: bytes, as_text: bool) -> None:
    """A text body is passed as text, any other in base64; an empty one is absent."""
    described = event("/", ("Content-Type", content_type), method="POST", body=body)
    assert described["isBase64Encoded"] is not as_text
    expected = body.decode() if as_text else base64.b64encode(body).decode()
    assert described["body"] == expected
    assert "body" not in event("/", method="POST")


def test_context() -> None:
    """The request's context has the client, the request and the time."""
    context = event("/a", ("User-Agent", "Browser"), method="PUT")["requestContext"]
    assert context["http"] == {
        "method": "PUT",
        "path": "/a",
        "protocol": "HTTP/1.1",
        "sourceIp": "192.0.2.1",
        "userAgent": "Browser",
    }
    assert context["stage"] == context["routeKey"] == "$default"
    assert context["requestId"] != event("/")["requestContext"]["requestId"]


def response(result: Any) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the response for a result."""
    answer = http_api.response(result)
    return answer.status, dict(answer.headers), answer.body


def test_full_result() -> None:
    """Status, headers, cookies and a base64 body become a response."""
    answer = http_api.response(
        {
            "statusCode": "201",
            "headers": {"Content-Type": "image/png", "X-Number": 7, "Content-Length": "99"},
            "multiValueHeaders": {},
            "cookies": ["a=1", "b=2"],
            "body": base64.b64encode(b"\x89").decode(),
            "isBase64Encoded": True,
        }
    )
    assert (answer.status, answer.body) == (201, b"\x89")
    assert answer.headers == [
        ("Content-Type", "image/png"),
        ("X-Number", "7"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
    ]


@pytest.mark.parametrize(
    ("result", "body"),
    [("hello", b"hello"), ({"a": 1}, b'{"a": 1}'), ([1], b"[1]"), (None, b"null"), (3, b"3")],
)
def test_result_without_a_status(result: Any, body: bytes) -> None:
    """A result without a status is the body, with status 200 and type JSON."""
    assert response(result) == (200, {"content-type": "application/json"}, body)


def test_text_is_the_default_type() -> None:
    """A response without a content type is plain text, as from the API."""
    assert response({"statusCode": 204})[1] == {"content-type": "text/plain;charset=UTF-8"}


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        ({"statusCode": "fine"}, "statusCode is 'fine'"),
        ({"statusCode": 20}, "statusCode is 20"),
        ({"statusCode": 101}, "statusCode is 101"),
        ({"statusCode": 200, "body": {}}, "body must be text, not dict"),
        ({"statusCode": 200, "body": 1}, "body must be text, not int"),
        ({"statusCode": 200, "body": "%", "isBase64Encoded": True}, "marked as base64"),
        ({"statusCode": 200, "body": "é", "isBase64Encoded": True}, "marked as base64"),
        ({"statusCode": 200, "body": "\ud83d"}, "lone surrogate"),
        ("\ud83d", "lone surrogate"),
        ({"statusCode": True}, "statusCode is True"),
        ({"statusCode": 200, "headers": ["a"]}, "headers must be an object"),
        ({"statusCode": 200, "cookies": "a=1"}, "cookies a list"),
        ({"statusCode": 200, "headers": {"a": "1\r\nb: 2"}}, "this header has an invalid name"),
        ({"statusCode": 200, "headers": {"a b": "1"}}, "this header has an invalid name"),
        ({"statusCode": 200, "multiValueHeaders": {"a": ["b"]}}, "format 2.0 has none. Join the"),
    ],
)
def test_bad_result(result: Any, sentence: str) -> None:
    """A result that is not a response is refused with a message that says why."""
    with pytest.raises(ResultError, match=sentence):
        http_api.response(result)
