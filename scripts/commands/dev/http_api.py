"""The HTTP API between edge and function: requests become events, results become responses.

Both have payload format 2.0: see "Create AWS Lambda proxy integrations for HTTP APIs" in the API
Gateway developer guide.
"""

import base64
import json
import re
import time
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from scripts.commands.dev.origin_request import OriginRequest
from scripts.commands.dev.policies import Headers

# The function sees the API's host name, never the viewer's. This one does not resolve, so a URL
# that is wrongly built from it fails here too, not only in the cloud.
HOST = "pages.invalid"

MAX_PAYLOAD = 6 * 1024 * 1024  # bytes of an event or a result: Lambda's limit

SECONDS = 30.0  # that the API waits for a function, whatever the function's own Timeout is

MAX_HEAD = 10_240  # bytes of a request's first line and headers: the API's limit

# Bodies of these types are passed on as text; all others, forms included, in base64.
_TEXT = re.compile(r"text/.*|application/(json|javascript|xml|.*\+(json|xml))", re.IGNORECASE)

# A line break would start another header; other control characters and surrogates are invalid.
_HEADER = re.compile(r"[!#$%&'*+.^_`|~\w-]+: [^\0-\x08\n-\x1f\x7f\ud800-\udfff]*", re.ASCII)

# The API sets these itself.
_OWN_HEADERS = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})


class ResultError(Exception):
    """The handler's result is not a response; the text says what is wrong with it."""


@dataclass(frozen=True)
class Response:
    """The response that the API makes from a handler's result."""

    status: int
    headers: Headers
    body: bytes


def event(request: OriginRequest) -> dict[str, Any]:
    """Return the event for a request."""
    headers = _headers(request)
    described: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": unquote(request.path),
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": _context(request, headers.get("user-agent", "")),
        "isBase64Encoded": False,
    }
    if cookies := _cookies(request):
        described["cookies"] = cookies
    if request.query:
        described["queryStringParameters"] = _parameters(request.query)
    return described | _body(request.body, headers.get("content-type", ""))


def response(result: Any) -> Response:
    """Return the response for a handler's result, or raise ResultError."""
    if not isinstance(result, dict) or "statusCode" not in result:
        return _inferred(result)
    status = result["statusCode"]
    if not (isinstance(status, int | str) and re.fullmatch(r"[2-5]\d\d", str(status))):
        raise ResultError(f"its statusCode is {status!r}, not a number such as 200")
    headers = _result_headers(result)
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("content-type", "text/plain;charset=UTF-8"))
    return Response(int(status), headers, _result_body(result))


def _headers(request: OriginRequest) -> dict[str, str]:
    """Return the headers by lower-case name, repeated ones joined, without the cookies."""
    joined: dict[str, str] = {"host": HOST, "content-length": str(len(request.body))}
    seen: dict[str, list[str]] = {}
    for name, value in request.headers:
        seen.setdefault(name.lower(), []).append(_utf8(value))
    joined.update((name, ",".join(values)) for name, values in seen.items())
    joined.pop("cookie", None)
    # The API overwrites these two.
    return joined | {"x-forwarded-proto": "http", "x-forwarded-port": "80"}


def _utf8(value: str) -> str:
    """Return a header that JSON can hold: a byte that is not UTF-8 becomes U+FFFD.

    aiohttp represents such bytes as surrogates.
    """
    return value.encode(errors="surrogateescape").decode(errors="replace")


def _cookies(request: OriginRequest) -> list[str]:
    lines = [_utf8(value) for name, value in request.headers if name.lower() == "cookie"]
    cookies = [cookie.strip() for line in lines for cookie in line.split(";")]
    return [cookie for cookie in cookies if cookie]


def _parameters(query: str) -> dict[str, str]:
    parameters: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        parameters.setdefault(name, []).append(value)
    return {name: ",".join(values) for name, values in parameters.items()}


def _context(request: OriginRequest, user_agent: str) -> dict[str, Any]:
    now = time.time()
    return {
        "accountId": "anonymous",
        "apiId": HOST.partition(".")[0],
        "domainName": HOST,
        "domainPrefix": HOST.partition(".")[0],
        "http": {
            "method": request.method,
            "path": unquote(request.path),
            "protocol": "HTTP/1.1",
            "sourceIp": request.viewer_address,
            "userAgent": user_agent,
        },
        "requestId": uuid.uuid4().hex,
        "routeKey": "$default",
        "stage": "$default",
        "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "timeEpoch": int(now * 1000),
    }


def _body(body: bytes, content_type: str) -> dict[str, Any]:
    if not body:
        return {}
    if _TEXT.fullmatch(content_type.partition(";")[0].strip()):
        try:
            return {"body": body.decode()}
        except UnicodeDecodeError:
            pass  # text in another encoding is sent in base64
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def _inferred(result: Any) -> Response:
    """Return the response for a result without a status: the result is the body."""
    text = result if isinstance(result, str) else json.dumps(result)
    return Response(200, [("content-type", "application/json")], _encoded(text))


def _result_headers(result: dict[str, Any]) -> Headers:
    single, cookies = result.get("headers") or {}, result.get("cookies") or []
    if not (isinstance(single, dict) and isinstance(cookies, list)):
        raise ResultError("its headers must be an object and its cookies a list")
    if result.get("multiValueHeaders"):
        raise ResultError(
            "the API ignores its multiValueHeaders, because payload format 2.0 has none. Join the "
            "values with commas in headers, and put those of Set-Cookie into cookies"
        )
    headers = [(name, str(value)) for name, value in single.items()]
    headers += [("set-cookie", str(cookie)) for cookie in cookies]
    if bad := next((h for h in headers if not _HEADER.fullmatch(f"{h[0]}: {h[1]}")), None):
        raise ResultError(f"this header has an invalid name or value: {bad!r}")
    return [(name, value) for name, value in headers if name.lower() not in _OWN_HEADERS]


def _result_body(result: dict[str, Any]) -> bytes:
    body = result.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise ResultError(f"its body must be text, not {type(body).__name__}")
    if not result.get("isBase64Encoded"):
        return _encoded(body)
    try:
        return base64.b64decode(body, validate=True)
    except ValueError as error:
        raise ResultError(f"its body is marked as base64 but is not: {error}") from None


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ResultError("its body contains a lone surrogate, which is not text") from None
