"""The answers that refuse a request: Engine.IO's numbers and words for it."""

from __future__ import annotations

import json
from http import HTTPStatus

NO_JSONP = "JSONP is not offered: poll by XMLHttpRequest, or use a websocket."


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


def no_jsonp() -> Refusal:
    """Refuse polling by scripts: no Origin comes with a script, so any site could read it."""
    return Refusal(3, NO_JSONP)


def forbidden() -> Refusal:
    """Refuse a request from an origin that is not ours."""
    return Refusal(4, "Forbidden", HTTPStatus.FORBIDDEN)


def unsupported_version() -> Refusal:
    """Refuse another version of the protocol than 4."""
    return Refusal(5, "Unsupported protocol version")
