"""Compression: gzip, where the client wants it."""

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware, IdentityResponder
from starlette.types import Receive, Scope, Send

from functions.web.accept import qualities


class Compression(GZipMiddleware):
    """Starlette's GZipMiddleware, which compresses for `gzip;q=0` too; this one does not."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        header = ",".join(Headers(scope=scope).getlist("accept-encoding"))
        if ";" in header and not wants_gzip(header):
            responder = IdentityResponder(self.app, self.minimum_size)
            await responder(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def wants_gzip(accept_encoding: str) -> bool:
    """Whether a client takes gzip, and would not rather have it plain."""
    accepted = qualities(accept_encoding)
    gzip = accepted.get("gzip", accepted.get("x-gzip", accepted.get("*", 0.0)))
    return gzip > 0 and gzip >= accepted.get("identity", 0.0)
