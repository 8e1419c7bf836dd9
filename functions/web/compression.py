"""Compression: gzip, for clients that accept it."""

from functools import lru_cache

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware, GZipResponder, IdentityResponder
from starlette.types import ASGIApp, Receive, Scope, Send

from functions.web.accept import qualities


class Compression(GZipMiddleware):
    """Starlette's GZipMiddleware, but parsing Accept-Encoding.

    Starlette's looks for `gzip` anywhere in the header. This one accepts `GZIP` and `*`, but not
    `gzip;q=0` or `gzipped`.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        header = ",".join(Headers(scope=scope).getlist("accept-encoding"))
        await self._responder(header)(scope, receive, send)

    def _responder(self, accept_encoding: str) -> ASGIApp:
        if not wants_gzip(accept_encoding):
            return IdentityResponder(self.app, self.minimum_size)
        return GZipResponder(
            self.app,
            self.minimum_size,
            self.compresslevel,
            thread_minimum_size=self.thread_minimum_size,
        )


@lru_cache(32)  # browsers send the same few; no API takes a header above 10 KB
def wants_gzip(accept_encoding: str) -> bool:
    """Whether a client accepts gzip, and does not prefer an uncompressed response."""
    accepted = qualities(accept_encoding)
    gzip = accepted.get("gzip", accepted.get("x-gzip", accepted.get("*", 0.0)))
    return gzip > 0 and gzip >= accepted.get("identity", 0.0)
