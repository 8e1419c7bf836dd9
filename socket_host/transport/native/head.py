"""The head of an HTTP request, and what a handshake needs of it."""

from __future__ import annotations

import binascii
import hashlib
import re
from http import HTTPStatus
from urllib.parse import parse_qsl

from socket_host.transport.native.refusal import Refusal, bad_method, bad_request

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\x00-\x08\x0a-\x1f\x7f]*)")
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MOST_HEADERS = 100
_MOST_PARAMETERS = 1_000  # as many as Node accepts


def _header(line: str) -> tuple[str, str]:
    """Return a header's name, in lower case, and its value; raises Refusal."""
    match = _HEADER.fullmatch(line)
    if match is None:
        raise bad_request("Malformed header")
    return match[1].lower(), match[2].strip(" \t")


# A cache of parsed header lines, since browsers send nearly the same ones. It leaves out long lines
# and headers that differ for each request. A client that sends unusual lines may cause the cache to
# be cleared, after which lines are parsed again.
_UNIQUE = frozenset(
    ["cookie", "sec-websocket-key", "x-amz-cf-id", "x-amzn-trace-id", "x-forwarded-for"]
)
_LONGEST_KNOWN = 200
_MOST_KNOWN = 1_000
_known: dict[str, tuple[str, str]] = {}


def _learn(line: str) -> tuple[str, str]:
    """Return what `_header` does, and cache it; raises Refusal."""
    header = _header(line)
    if header[0] not in _UNIQUE and len(line) <= _LONGEST_KNOWN and line.isascii():
        if len(_known) == _MOST_KNOWN:
            _known.clear()
        _known[line] = header
    return header


class Head:
    """A request's line and headers; `headers` has lower-case names, and joins repeated headers."""

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
        """Join the values of repeated headers."""
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            values.setdefault(name, []).append(value)
        # Proxies may split a long cookie (RFC 9113, section 8.2.3).
        self.headers = {
            name: ("; " if name == "cookie" else ",").join(parts) for name, parts in values.items()
        }

    def parameters(self) -> dict[str, str]:
        """Return the query's parameters; the last of repeated ones counts. Raises Refusal."""
        query = self.query
        if "%" not in query and "+" not in query:  # as Socket.IO's clients write it
            pairs = (part.partition("=") for part in query.split("&", _MOST_PARAMETERS))
            return {name: value for name, _, value in pairs}
        try:
            return dict(parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS))
        except ValueError:
            raise bad_request("Too many parameters") from None

    @property
    def upgrades(self) -> bool:
        """Whether the request asks for a websocket."""
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
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: "
            + self._proof()
            + self._protocol()
            + b"\r\n\r\n"
        )

    def _protocol(self) -> bytes:
        """Accept the first subprotocol offered, as Node does; clients require that one is."""
        offered = self.headers.get("sec-websocket-protocol", "").partition(",")[0].strip()
        if not TOKEN.fullmatch(offered):
            return b""
        return b"\r\nSec-WebSocket-Protocol: " + offered.encode()

    def _proof(self) -> bytes:
        key = self.headers.get("sec-websocket-key", "").encode("utf-8", "surrogateescape")
        try:
            if len(binascii.a2b_base64(key, strict_mode=True)) != 16:
                raise bad_request()
        except ValueError:
            raise bad_request() from None
        digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
        return binascii.b2a_base64(digest, newline=False)
