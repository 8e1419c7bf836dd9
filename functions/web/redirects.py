"""Trailing slashes: every page has one address, and the socket path keeps its slash."""

from collections.abc import Sequence
from urllib.parse import quote

from starlette.types import ASGIApp, Receive, Scope, Send

# The characters that RFC 3986 allows unescaped in a path, without `\` and control characters.
_SAFE = "/:@!$&'()*+,;=~-._"


class DropTrailingSlashes:
    """ASGI middleware that redirects `/page/` to `/page`, and lets the socket path through.

    Below the prefixes of `keep` it is the other way round: with `/legacy/` in it, `/legacy` and
    `/legacy/page` are redirected to `/legacy/` and `/legacy/page/`. There, a last segment with a
    dot is a file name, and is left alone.

    Any path takes at most one redirect. The query is kept byte for byte. `Location` is a path,
    because behind CloudFront the function knows only its API's host name, not the viewer's.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        socket_prefixes: Sequence[str] = ("/socket.io",),
        keep: Sequence[str] = (),
        status: int = 308,
    ) -> None:
        for prefix in socket_prefixes:
            if not prefix.startswith("/") or prefix.endswith("/"):
                raise ValueError(f"a socket prefix must look like /socket.io, not {prefix!r}")
        if status not in (301, 302, 307, 308):
            raise ValueError(f"a redirect's status must be 301, 302, 307 or 308, not {status}")
        self.app = app
        self.socket_prefixes = tuple(socket_prefixes)
        self.keep = checked_prefixes(keep)
        self.status = status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (path := self._one_address(scope["path"])) == scope["path"]:
            await self.app(scope, receive, send)
            return
        location = quote(path, _SAFE, errors="replace").encode()
        if scope["query_string"]:
            location += b"?" + scope["query_string"]
        headers = [(b"location", location)]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def _one_address(self, path: str) -> str:
        if any(path == prefix or path.startswith(f"{prefix}/") for prefix in self.socket_prefixes):
            return path
        return one_address(path, self.keep)


def checked_prefixes(keep: Sequence[str]) -> tuple[str, ...]:
    """Return the prefixes that keep their slash; raise ValueError if they are malformed."""
    if not isinstance(keep, list | tuple) or not all(map(_keeps_its_slash, keep)):
        raise ValueError(f"must be a list of prefixes such as ['/legacy/'], not {keep!r}")
    return tuple(keep)


def _keeps_its_slash(prefix: object) -> bool:
    if not isinstance(prefix, str):
        return False
    return prefix == without_trailing_slashes(prefix).rstrip("/") + "/"


def one_address(path: str, keep: Sequence[str] = ()) -> str:
    """Return the canonical path of a page, for any spelling of it."""
    if not (keep or path.endswith("/")):
        return path
    bare = without_trailing_slashes(path)
    if bare == "/":
        return bare if path.endswith("/") else path
    if f"{bare}/".startswith(tuple(keep)):
        return path if "." in bare.rpartition("/")[2] else f"{bare}/"
    return bare if path.endswith("/") else path


def without_trailing_slashes(path: str) -> str:
    """Return the canonical path: rooted, without a trailing slash or dot segments.

    Leading slashes and backslashes collapse, because `//evil.example` names another site. Dot
    segments are removed, because a browser resolves `/a/.` to `/a/`, which would be a second
    redirect, and because `/..//evil.example` must not become another site either.
    """
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment != ".":
            segments.append(segment)
    return "/" + "/".join(segments).lstrip("/\\").rstrip("/")
