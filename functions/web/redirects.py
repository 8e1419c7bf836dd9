"""Trailing slashes: every page has one address, and the socket path keeps its slash."""

from collections.abc import Sequence
from urllib.parse import quote

from starlette.types import ASGIApp, Receive, Scope, Send

# What RFC 3986 lets stand in a path as it is, without `\` and control characters.
_SAFE = "/:@!$&'()*+,;=~-._"


class DropTrailingSlashes:
    """ASGI middleware that redirects `/page/` to `/page`, and lets the socket path through.

    One redirect settles any path, its query survives byte for byte, and its `Location` is a path:
    behind CloudFront the function knows only its API's host name, not the viewer's.
    """

    def __init__(
        self, app: ASGIApp, *, socket_prefixes: Sequence[str] = ("/socket.io",), status: int = 308
    ) -> None:
        for prefix in socket_prefixes:
            if not prefix.startswith("/") or prefix.endswith("/"):
                raise ValueError(f"a socket prefix is written like /socket.io, not {prefix!r}")
        if status not in (301, 302, 307, 308):
            raise ValueError(f"a redirect's status is 301, 302, 307 or 308, not {status}")
        self.app = app
        self.socket_prefixes = tuple(socket_prefixes)
        self.status = status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._is_due(scope["path"]):
            await self.app(scope, receive, send)
            return
        location = quote(without_trailing_slashes(scope["path"]), _SAFE, errors="replace").encode()
        if scope["query_string"]:
            location += b"?" + scope["query_string"]
        # A type, though there is no body: without one Mangum calls it JSON.
        headers = [(b"location", location), (b"content-type", b"text/plain; charset=utf-8")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def _is_due(self, path: str) -> bool:
        if path == "/" or not path.endswith("/"):
            return False
        return not any(path.startswith(f"{prefix}/") for prefix in self.socket_prefixes)


def without_trailing_slashes(path: str) -> str:
    """Return the one path a browser settles on: rooted, no trailing slash, no dot segments.

    Leading slashes and backslashes collapse, for `//evil.example` names another site. Dot segments
    go, for a browser resolves `/a/.` to `/a/`, which would be a second redirect, and
    `/..//evil.example` must not turn into the other site either.
    """
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment != ".":
            segments.append(segment)
    return "/" + "/".join(segments).lstrip("/\\").rstrip("/")
