"""Responses that refuse a request, with the codes and messages that Engine.IO defines."""

from __future__ import annotations

import json
from http import HTTPStatus

NO_JSONP = "JSONP is not supported: poll with XMLHttpRequest, or use a websocket."


class Refusal(Exception):  # noqa: N818 - named for the response, not for an error
    """A request is refused; `code` is Engine.IO's number for the reason."""

    def __init__(
        self, code: int, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status

    @property
    def body(self) -> str:
        """The JSON that Engine.IO clients expect."""
        return json.dumps({"code": self.code, "message": str(self)}, separators=(",", ":"))

    @property
    def response(self) -> bytes:
        """The complete HTTP response, after which the connection closes."""
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
    """Refuse a transport that is missing, unknown or switched off."""
    return Refusal(0, "Transport unknown")


def unknown_session() -> Refusal:
    """Refuse the id of a session that does not exist, or no longer does."""
    return Refusal(1, "Session ID unknown")


def bad_method() -> Refusal:
    """Refuse a handshake by a method other than GET."""
    return Refusal(2, "Bad handshake method")


def bad_request(message: str = "Bad request") -> Refusal:
    """Refuse an invalid request."""
    return Refusal(3, message)


def no_jsonp() -> Refusal:
    """Refuse JSONP: browsers send no Origin with a script, so any site could read the response."""
    return Refusal(3, NO_JSONP)


def forbidden() -> Refusal:
    """Refuse a request from an origin that is not allowed."""
    return Refusal(4, "Forbidden", HTTPStatus.FORBIDDEN)


def unsupported_version() -> Refusal:
    """Refuse a protocol version other than 4."""
    return Refusal(5, "Unsupported protocol version")
