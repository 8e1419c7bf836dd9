"""Header bytes of any kind through the edge: to a function as JSON, to a host unchanged."""

import json
from typing import Any, cast

import pytest
from aiohttp import web

from scripts.commands.dev.function import Function
from scripts.commands.dev.origins import FunctionOrigin
from scripts.commands.dev.template import FUNCTION, SOCKET_HOST
from tests.scripts.dev.edges import Recorder, running, status
from tests.scripts.dev.stand_in import host

BYTES = {b"Jos\xe9": "Jos\ufffd", "José".encode(): "José", b"\xff\xfe": "\ufffd\ufffd"}


class Answering:
    """A function that records its events as JSON, and answers with a result."""

    def __init__(self, result: Any) -> None:
        self.result = result
        self.events: list[Any] = []

    async def invoke(self, event: object) -> object:
        # A lone surrogate cannot be encoded in UTF-8.
        self.events.append(json.loads(json.dumps(event, ensure_ascii=False).encode()))
        return self.result


def origins(function: Answering) -> dict[str, Any]:
    return {FUNCTION: FunctionOrigin(cast(Function, function)), SOCKET_HOST: Recorder("host")}


def request(target: str, *headers: bytes) -> bytes:
    lines = [b"GET " + target.encode() + b" HTTP/1.1", b"Host: viewer.test", b"Connection: close"]
    return b"\r\n".join([*lines, *headers, b"", b""])


@pytest.mark.parametrize(("sent", "expected"), BYTES.items())
async def test_to_the_function(sent: bytes, expected: str) -> None:
    """An event is JSON, so bytes that are not UTF-8 become replacement characters."""
    function = Answering({"statusCode": 200})
    async with running(origins=origins(function)) as edge:
        lines = (b"X-A: " + sent, b"Cookie: a=" + sent, b"User-Agent: " + sent)
        assert status(await edge.ask(request("/", *lines))) == 200
    (event,) = function.events
    assert event["headers"]["x-a"] == expected
    assert event["cookies"] == [f"a={expected}"]
    assert event["requestContext"]["http"]["userAgent"] == expected


async def test_headers_of_the_api() -> None:
    """A viewer cannot set the scheme and port that the API reports."""
    function = Answering({"statusCode": 200})
    async with running(origins=origins(function)) as edge:
        lines = (b"X-Forwarded-Port: abc", b"X-Forwarded-Proto: javascript")
        assert status(await edge.ask(request("/", *lines))) == 200
    headers = function.events[0]["headers"]
    assert (headers["x-forwarded-port"], headers["x-forwarded-proto"]) == ("80", "http")


@pytest.mark.parametrize("value", ["José", "日本", "\x80", "a\tb"])
async def test_from_the_function(value: str) -> None:
    """A page's headers reach the viewer."""
    result = {"statusCode": 200, "headers": {"x-name": value}, "cookies": [f"a={value}"]}
    async with running(origins=origins(Answering(result))) as edge:
        answer = (await edge.ask(request("/"))).encode("latin-1").decode()
    assert status(answer) == 200
    assert f"x-name: {value}\r\n" in answer
    assert f"set-cookie: a={value}\r\n" in answer


@pytest.mark.parametrize("value", ["\ud800", "a\rb", "a\nb", "\0", "\x1b", "\x7f"], ids=range(6))
async def test_invalid_headers(value: str) -> None:
    """A result with an invalid header is not a response, and the message names it."""
    result = {"statusCode": 200, "headers": {"x-name": value}}
    async with running(origins=origins(Answering(result))) as edge:
        answer = await edge.ask(request("/"))
    assert status(answer) == 502
    assert "this header has an invalid name or value" in answer


@pytest.mark.parametrize("sent", BYTES)
async def test_to_the_host(sent: bytes) -> None:
    """The host gets the request; aiohttp omits bytes that are not UTF-8."""

    async def echo(request: web.Request) -> web.Response:
        return web.Response(text=request.cookies["b"])

    async with host(echo) as (edge, _):
        cookies = b"Cookie: a=" + sent + b"; b=1"
        answer = await edge.ask(request("/socket.io/", b"X-A: " + sent, cookies))
        assert status(answer) == 200
        assert answer.endswith("1")
