"""The stateless half's door: settings, then redirects, then routes, as the Lambda `handler`."""

import asyncio
import gc
import os
from pathlib import Path

from mangum import Mangum
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from functions import pages
from functions.assets import PREFIX
from functions.contract.room_log import open_room_log
from functions.contract.session import Sessions
from functions.emit import open_emitter
from functions.headers import SecurityHeaders
from functions.http_api import HttpApi
from functions.redirects import DropTrailingSlashes
from functions.same_origin import SameOrigin
from functions.settings import Settings
from functions.site import Site
from functions.visitor import Visitors

SOCKET_PATH = "/socket.io"


def create_app(settings: Settings) -> SecurityHeaders:
    """Return the pages as an ASGI app, in the order a request travels through it."""
    site = Site.create(
        open_room_log(settings.room_log),
        open_emitter(settings.bus, settings.session_secret),
        Path(__file__).parent,
    )
    if not settings.development:  # where the snapshot of a started function has them compiled
        site.compile_templates()
    sessions = Sessions(settings.session_secret, *settings.former_secrets)
    guards = [
        Middleware(Visitors, sessions=sessions, secure=not settings.development),
        Middleware(SameOrigin, routes=pages.routes),
    ]
    app = Starlette(
        debug=settings.development,
        routes=[
            Route(PREFIX + "{name:path}", site.assets.serve),
            Route(SOCKET_PATH, misdirected, methods=None),
            Route(SOCKET_PATH + "/{rest:path}", misdirected, methods=None),
            Mount("", routes=pages.routes, middleware=guards),
        ],
        exception_handlers={HTTPException: error_page, 500: error_page},
    )
    app.router.redirect_slashes = False
    app.state.site = site
    # Level 3 takes half the time of 6, and makes a page 5 % longer.
    compressed = GZipMiddleware(app, compresslevel=3)
    redirected = DropTrailingSlashes(compressed, socket_prefixes=[SOCKET_PATH])
    return SecurityHeaders(redirected, scripts=site.assets.import_map_hash)


async def misdirected(request: Request) -> Response:
    """Answer a socket request that reached the function: it came past the edge."""
    return PlainTextResponse(
        "Sockets do not live here: this is the function that renders pages. Connect to /socket.io/ "
        "on the site's public address, whose edge sends it to the socket host.\n",
        status_code=421,
    )


async def error_page(request: Request, error: Exception) -> Response:
    """Show what went wrong, in the site's own look."""
    status, detail, headers = 500, "", None
    if isinstance(error, HTTPException):
        status, detail, headers = error.status_code, error.detail, error.headers
    response = Site.of(request).page(request, "error.html", status, code=status, detail=detail)
    response.headers.update(headers or {})
    return response


# Mangum 0.22 asks for the thread's event loop, which Python 3.12 no longer makes without a warning
# and 3.14 not at all.
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
app = create_app(Settings.from_environ(os.environ))
handler = Mangum(app, lifespan="off", custom_handlers=[HttpApi])
# What the start has made stays for good: no page need wait while it is searched for garbage.
gc.freeze()
