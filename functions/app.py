"""The stateless half's entry point: settings, middleware and routes, as the Lambda `handler`."""

import asyncio
import gc
import os
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Protocol

from mangum import Mangum
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from functions import pages
from functions.model.settings import settings as declared
from functions.web.assets import PREFIX
from functions.web.checks import check_pages, check_started
from functions.web.compression import Compression
from functions.web.emitters import open_emitter
from functions.web.errors import error_response
from functions.web.front_doors import FRONT_DOORS
from functions.web.headers import SecurityHeaders
from functions.web.local_redirects import LocalRedirects
from functions.web.redirects import DropTrailingSlashes
from functions.web.routing import accept_either_spelling
from functions.web.same_origin import SameOrigin
from functions.web.settings import Settings
from functions.web.site import Site
from functions.web.visitor import Visitors
from functions.web.whole_responses import WholeResponses

SOCKET_PATH = "/socket.io"


class Pages(Protocol):
    """The package of the pages, with its templates/ and static/."""

    @property
    def __path__(self) -> Sequence[str]: ...

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """The pages' routes. An optional `keep_slash` lists prefixes that keep their slash."""

    def start(self, app: Starlette) -> None:
        """Open what the pages need; raise StartError if that cannot be done."""


def create_app(settings: Settings, pages: Pages) -> SecurityHeaders:
    """Return the pages as an ASGI app, in the order a request travels through it.

    Raises StartError for pages that cannot be served.
    """
    check_pages(pages, taken=[PREFIX, f"{SOCKET_PATH}/"])
    keep = tuple(getattr(pages, "keep_slash", ()))
    emitter = open_emitter(settings.bus, settings.session_secret)
    site = Site.create(settings, emitter, Path(pages.__path__[0]))
    router = _router(
        site,
        Route(PREFIX + "{name:path}", site.assets.serve),
        Route(SOCKET_PATH, misdirected, methods=None),
        Route(SOCKET_PATH + "/{rest:path}", misdirected, methods=None),
        Mount(
            "",
            middleware=[
                Middleware(Visitors, sessions=site.sessions, secure=not settings.development),
                Middleware(SameOrigin, routes=pages.routes),
            ],
            routes=pages.routes,
        ),
        start=pages.start,
    )
    accept_either_spelling(router, keep)
    return SecurityHeaders(
        DropTrailingSlashes(
            LocalRedirects(
                Compression(
                    router,
                    compresslevel=3,  # much faster than the default, for slightly longer pages
                )
            ),
            socket_prefixes=[SOCKET_PATH],
            keep=keep,
        ),
        scripts=site.assets.import_map_hash,
    )


def _router(site: Site, *routes: BaseRoute, start: Callable[[Starlette], None]) -> Starlette:
    app = Starlette(
        debug=site.settings.development,
        routes=routes,
        middleware=[Middleware(WholeResponses)],
        exception_handlers={HTTPException: error_response, 500: error_response},
    )
    app.state.site = site
    start(app)
    check_started(app, routes)
    if not site.settings.development:  # in production, SnapStart's snapshot has them compiled
        site.compile_templates()
    return app


async def misdirected(request: Request) -> Response:
    """Answer a socket request that reached the function, and so bypassed the edge."""
    return PlainTextResponse(
        "This is the function that renders pages, which has no sockets. Connect to /socket.io/ "
        "on the site's public address, whose edge sends it to the socket host.\n",
        status_code=421,
    )


# Mangum 0.22 asks for the thread's event loop. Python 3.12 warns if it has to create one, and 3.14
# does not create one.
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
app = create_app(Settings.from_environ(os.environ, declared), pages)
handler = Mangum(app, lifespan="off", custom_handlers=FRONT_DOORS)
with suppress(ImportError):  # outside Lambda's runtime
    # Otherwise every copy restored from one snapshot would draw the same random numbers.
    import_module("snapshot_restore_py").register_after_restore(random.seed)
# Exempt what exists now from garbage collection: it lives as long as the process.
gc.freeze()
