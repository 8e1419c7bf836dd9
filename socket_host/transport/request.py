"""The head of an HTTP request, what a handshake needs of it, and the answers that refuse one."""

from __future__ import annotations

import binascii
import hashlib
import json
import re
from collections.abc import Iterator, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\x00-\x08\x0a-\x1f\x7f]*)")
_MOST_HEADERS = 100
_MOST_PARAMETERS = 32


class Refusal(Exception):  # noqa: N818 - what it is, not that something went wrong
    """A request that gets no session; `code` is Engine.IO's number for the reason."""

    def __init__(
        self, code: int, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status

    @property
    def body(self) -> str:
        """The JSON that Engine.IO clients know."""
        return json.dumps({"code": self.code, "message": str(self)}, separators=(",", ":"))

    @property
    def response(self) -> bytes:
        """The whole HTTP response, for a connection that closes after it."""
        lines = [
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            "Content-Type: application/json",
            "X-Content-Type-Options: nosniff",
            f"Content-Length: {len(self.body)}",
            "Connection: close",
        ]
        if self.status is HTTPStatus.UPGRADE_REQUIRED:
            lines.append("Sec-WebSocket-Version: 13")
        return "\r\n".join([*lines, "", self.body]).encode()


def unknown_transport() -> Refusal:
    """Refuse a transport that is missing or that nobody has heard of."""
    return Refusal(0, "Transport unknown")


def unknown_session() -> Refusal:
    """Refuse a session id that is not, or no longer, a session."""
    return Refusal(1, "Session ID unknown")


def bad_method() -> Refusal:
    """Refuse a handshake by anything but GET."""
    return Refusal(2, "Bad handshake method")


def bad_request(message: str = "Bad request") -> Refusal:
    """Refuse a request that makes no sense."""
    return Refusal(3, message)


def forbidden() -> Refusal:
    """Refuse a request from an origin that is not ours."""
    return Refusal(4, "Forbidden", HTTPStatus.FORBIDDEN)


def unsupported_version() -> Refusal:
    """Refuse another version of the protocol than 4."""
    return Refusal(5, "Unsupported protocol version")


_SID = re.compile(r"[?&]sid=([^&]*)")


def session_id(target: str) -> str:
    """Return the id of the session that a request's target is about; empty if it names none."""
    found = _SID.search(target)
    return found[1] if found else ""


def _header(line: str) -> tuple[str, str]:
    """Return the name, in lower case, and the value in a line; raises Refusal."""
    match = _HEADER.fullmatch(line)
    if match is None:
        raise bad_request("Malformed header")
    return match[1].lower(), match[2].strip(" \t")


# Nearly all lines of a browser's request are those of the request before, whoever sent it; but not
# these, nor any that are longer than the longest that all send, in bytes. Somebody who sends lines
# that nobody else does empties the cache; the next of the others parse theirs again.
_OWN = frozenset(
    ["cookie", "sec-websocket-key", "x-amz-cf-id", "x-amzn-trace-id", "x-forwarded-for"]
)
_LONGEST_KNOWN = 200
_MOST_KNOWN = 1_000
_known: dict[str, tuple[str, str]] = {}


def _learn(line: str) -> tuple[str, str]:
    """Return what `_header` does, and know it the next time; raises Refusal."""
    header = _header(line)
    if header[0] not in _OWN and len(line) <= _LONGEST_KNOWN and line.isascii():
        if len(_known) == _MOST_KNOWN:
            _known.clear()
        _known[line] = header
    return header


class Head:
    """A request's line and headers; `headers` has lower-case names, repeated ones joined."""

    __slots__ = ("headers", "method", "path", "query", "raw", "target", "version")

    def __init__(self, raw: bytes) -> None:
        """Parse `raw`, which ends before the empty line, in linear time; raises Refusal."""
        self.raw = raw
        first, *lines = raw.decode("utf-8", "surrogateescape").split("\r\n")
        try:
            self.method, self.target, self.version = first.split(" ")
        except ValueError:
            raise bad_request("Malformed request line") from None
        self.path, _, self.query = self.target.partition("?")
        if len(lines) > _MOST_HEADERS:
            raise bad_request("Too many headers")
        pairs = [_known.get(line) or _learn(line) for line in lines]
        self.headers = dict(pairs)
        if len(self.headers) < len(pairs):
            self._join(pairs)

    def _join(self, pairs: list[tuple[str, str]]) -> None:
        """Put the values of repeated headers together."""
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            values.setdefault(name, []).append(value)
        # A cookie is split by proxies when it is long (RFC 9113, section 8.2.3).
        self.headers = {
            name: ("; " if name == "cookie" else ",").join(parts) for name, parts in values.items()
        }

    def parameters(self) -> dict[str, str]:
        """Return the query's parameters, of repeated ones the last; raises Refusal."""
        query = self.query
        if "%" not in query and "+" not in query:  # as our clients write it
            pairs = (part.partition("=") for part in query.split("&", _MOST_PARAMETERS))
            return {name: value for name, _, value in pairs}
        try:
            return dict(parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS))
        except ValueError:
            raise bad_request("Too many parameters") from None

    @property
    def upgrades(self) -> bool:
        """True if the request asks for a websocket."""
        return self.headers.get("upgrade", "").lower() == "websocket"

    def accept(self) -> bytes:
        """Return the response that turns the connection into a websocket; raises Refusal."""
        if self.method != "GET":
            raise bad_method()
        connection = self.headers.get("connection", "").lower()
        if self.version != "HTTP/1.1" or "host" not in self.headers or "upgrade" not in connection:
            raise bad_request()
        if self.headers.get("sec-websocket-version") != "13":
            raise Refusal(3, "Bad request", HTTPStatus.UPGRADE_REQUIRED)
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + self._proof() + b"\r\n\r\n"
        )

    def _proof(self) -> bytes:
        key = self.headers.get("sec-websocket-key", "").encode("utf-8", "surrogateescape")
        try:
            if len(binascii.a2b_base64(key, strict_mode=True)) != 16:
                raise bad_request()
        except ValueError:
            raise bad_request() from None
        digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
        return binascii.b2a_base64(digest, newline=False)


class Environ(MutableMapping[str, Any]):
    """The WSGI environment of a client's first request.

    Once it has settled it is only the bytes it came in, and parsed when somebody looks: parsed,
    the headers of a browser take more memory than everything else about an idle client.
    """

    __slots__ = ("_changed", "_head", "_raw", "_values", "address", "peer")

    def __init__(self, head: Head, peer: Any) -> None:
        self._head: Head | None = head
        self._raw = head.raw
        self.peer = peer
        self.address = b""  # what the client's connections are counted by, if they are
        self._values: dict[str, Any] | None = None
        self._changed = False

    def settle(self) -> None:
        """Forget the parsed form, unless somebody has put something into it."""
        self._head = None
        if not self._changed:
            self._values = None

    @property
    def head(self) -> Head:
        """The request itself."""
        return self._head or Head(self._raw)

    def _load(self) -> dict[str, Any]:
        if self._values is None:
            self._values = _wsgi(self.head, self.peer)
        return self._values

    def __getitem__(self, key: str) -> Any:
        # The host looks at the cookie of every client, and at nothing else.
        if self._values is None and self._head is not None and key.startswith("HTTP_"):
            value = self._head.headers.get(key[5:].replace("_", "-").lower())
            if value is not None:
                return value
        return self._load()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._changed = True
        self._load()[key] = value

    def __delitem__(self, key: str) -> None:
        self._changed = True
        del self._load()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())


def _wsgi(head: Head, peer: Any) -> dict[str, Any]:
    address, port = peer[:2] if isinstance(peer, tuple) else ("", 0)
    environ = {
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": head.path,
        "QUERY_STRING": head.query,
        "RAW_URI": head.target,
        "SERVER_PROTOCOL": head.version,
        "SERVER_NAME": "aiohttp",
        "SERVER_PORT": "0",
        "REMOTE_ADDR": address,
        "REMOTE_PORT": str(port),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": head.headers.get("x-forwarded-proto", "http"),
    }
    for name, value in head.headers.items():
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = "HTTP_" + key
        environ[key] = value
    return environ
