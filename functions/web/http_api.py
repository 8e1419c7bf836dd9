"""API Gateway's HTTP API: converts its events to ASGI requests, and responses back.

A function URL sends the same events (payload format 2.0), except for the path.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from mangum.handlers.api_gateway import HTTPGateway
from mangum.types import LambdaConfig, LambdaContext, LambdaEvent, Response, Scope

# Parts of media types that mean text.
_TEXT = ("text/", "application/json", "application/javascript", "application/xml", "+json", "+xml")


# Characters that a header cannot contain; RFC 9110, section 5.5, replaces each with a space.
_FORBIDDEN = dict.fromkeys([*range(9), *range(10, 32), 127], " ")


@dataclass(frozen=True)
class Received:
    """A request from an event of any kind; header names are in lower case."""

    method: str
    path: str  # decoded
    query: str  # as it was sent, without the question mark
    headers: Mapping[str, str]
    address: str  # the client's


class HttpApi(HTTPGateway):
    """Reads and writes payload format 2.0, in place of Mangum's own class.

    Mangum's class decodes the path of an HTTP API, which the API has already decoded (`/a%2541`
    becomes `/aA`), labels every body without a type as JSON, and fails for a port that is not a
    number and for header bytes that are not UTF-8.
    """

    @classmethod
    def infer(cls, event: LambdaEvent, context: LambdaContext, config: LambdaConfig) -> bool:
        """Whether an event has payload format 2.0."""
        return event.get("version") == "2.0" and "http" in (event.get("requestContext") or {})

    @property
    def received(self) -> Received:
        """The request in the event."""
        request = self.event["requestContext"]["http"]
        headers = {name.lower(): value for name, value in (self.event.get("headers") or {}).items()}
        if cookies := self.event.get("cookies"):
            headers["cookie"] = "; ".join(cookies)
        path = request["path"]
        if ".lambda-url." in self.event["requestContext"].get("domainName", ""):
            path = unquote(path)  # a function URL passes it undecoded
        query = self.event.get("rawQueryString") or ""
        return Received(request["method"], path, query, headers, request["sourceIp"])

    @cached_property
    def scope(self) -> Scope:
        """The request as an ASGI scope."""
        received = self.received
        headers = received.headers
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "http_version": "1.1",
            "method": received.method,
            "scheme": "http" if headers.get("x-forwarded-proto") == "http" else "https",
            "path": received.path.encode(errors="replace").decode(),
            "raw_path": None,
            "root_path": "",
            "query_string": received.query.encode(errors="replace"),
            # A surrogate becomes a question mark.
            "headers": [
                [name.encode(errors="replace"), value.encode(errors="replace")]
                for name, value in headers.items()
            ],
            "server": _server(headers),
            "client": (received.address, 0),
            "aws.event": self.event,
            "aws.context": self.context,
        }

    @property
    def body(self) -> bytes:
        """The request body."""
        body = self.event.get("body") or ""
        if self.event.get("isBase64Encoded"):
            return base64.b64decode(body)
        return body.encode(errors="replace")

    def __call__(self, response: Response) -> dict[str, Any]:
        """Return the response in the format that the event's sender expects."""
        headers: dict[str, str] = {}
        cookies: list[str] = []
        for raw_name, raw_value in response["headers"]:
            name, value = raw_name.decode("latin-1").lower(), _text(raw_value)
            if name == "set-cookie":
                cookies.append(value)
            else:
                headers[name] = f"{headers[name]},{value}" if name in headers else value
        body = response["body"]
        if body:
            headers.setdefault("content-type", "application/octet-stream")
        text, is_base64 = _body(body, headers.get("content-type", ""))
        answer = {
            "statusCode": response["status"],
            "headers": headers,
            "body": text,
            "isBase64Encoded": is_base64,
        }
        return self.with_cookies(answer, cookies) if cookies else answer

    def with_cookies(self, answer: dict[str, Any], cookies: list[str]) -> dict[str, Any]:
        """Return an answer that sets cookies, each a value of Set-Cookie."""
        return answer | {"cookies": cookies}


def _body(body: bytes, kind: str) -> tuple[str, bool]:
    """Return a body as text, or as base64 if it is not text, and whether it is base64."""
    if not body or any(text in kind for text in _TEXT):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), True


def _text(value: bytes) -> str:
    """Return a header's bytes as text: UTF-8 if possible, else Latin-1, as Starlette writes it."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return text if text.isprintable() else text.translate(_FORBIDDEN)


def _server(headers: Mapping[str, str]) -> tuple[str, int]:
    """Return the requested host and port."""
    host = headers.get("host", "")
    port = headers.get("x-forwarded-port", "")
    return host, int(port) if port.isascii() and port.isdecimal() and len(port) <= 5 else 443
