"""Compression: gzip, for clients that accept it."""

from functools import lru_cache

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware, GZipResponder, IdentityResponder
from starlette.types import ASGIApp, Receive, Scope, Send

from functions.web.accept import qualities


class Compression(GZipMiddleware):
    """Starlette's GZipMiddleware, but parsing Accept-Encoding.

    Starlette's looks for `gzip` anywhere in the header. This one accepts `GZIP` and `*`, but not
    `gzip;q=0` or `gzipped`. It also makes the ETag of a compressed response weak, because the
    uncompressed one has the same.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        header = ",".join(Headers(scope=scope).getlist("accept-encoding"))
        await self._responder(header)(scope, receive, send)

    def _responder(self, accept_encoding: str) -> ASGIApp:
        if not wants_gzip(accept_encoding):
            return IdentityResponder(self.app, self.minimum_size)
        return _Gzip(
            self.app,
            self.minimum_size,
            self.compresslevel,
            thread_minimum_size=self.thread_minimum_size,
        )


class _Gzip(GZipResponder):
    async def apply_compression(self, body: bytes, *, more_body: bool) -> bytes:
        headers = MutableHeaders(raw=self.initial_message["headers"])
        etag = headers.get("etag")
        if etag and not etag.startswith("W/"):
            headers["etag"] = f"W/{etag}"
        return await super().apply_compression(body, more_body=more_body)


@lru_cache(32)  # browsers send the same few; no API takes a header above 10 KB
def wants_gzip(accept_encoding: str) -> bool:
    """Whether a client accepts gzip, and does not prefer an uncompressed response."""
    accepted = qualities(accept_encoding)
    gzip = accepted.get("gzip", accepted.get("x-gzip", accepted.get("*", 0.0)))
    return gzip > 0 and gzip >= accepted.get("identity", 0.0)
