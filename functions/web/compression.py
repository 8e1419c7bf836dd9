"""Compression: gzip, where the client wants it."""

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware, IdentityResponder
from starlette.types import Receive, Scope, Send

from functions.web.accept import qualities


class Compression(GZipMiddleware):
    """Starlette's GZipMiddleware, but it respects `gzip;q=0`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        header = ",".join(Headers(scope=scope).getlist("accept-encoding"))
        if ";" in header and not wants_gzip(header):
            responder = IdentityResponder(self.app, self.minimum_size)
            await responder(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def wants_gzip(accept_encoding: str) -> bool:
    """Whether a client accepts gzip, and does not prefer an uncompressed response."""
    accepted = qualities(accept_encoding)
    gzip = accepted.get("gzip", accepted.get("x-gzip", accepted.get("*", 0.0)))
    return gzip > 0 and gzip >= accepted.get("identity", 0.0)
