"""A site with a test's own routes, behind the HTTP API."""

import base64
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from mangum import Mangum
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from functions.app import create_app
from functions.web.front_doors import FRONT_DOORS
from functions.web.settings import Settings
from tests.kit.lambda_events import function_loop, http_api, invoke
from tests.small_app import pages as small

SECRET = "a-secret-for-tests-that-is-long-enough"

Ask = Callable[..., dict[str, Any]]


def application(*routes: BaseRoute, bus: str = "", **more: Any) -> Any:
    """An app with these routes.

    `more` are further attributes of its package of pages, and `bus` is the setting BUS. The session
    cookie has its plain name, as in development, but errors are shown as in production.
    """
    pages = {"__path__": small.__path__, "routes": list(routes), "start": lambda app: None}
    app = create_app(Settings(SECRET, bus, development=True), SimpleNamespace(**pages | more))
    router: Any = app
    while not hasattr(router, "debug"):
        router = router.app
    router.debug = False
    return app


def site(*routes: BaseRoute, bus: str = "", **more: Any) -> Ask:
    """Return a function that sends requests to an app with these routes: see `application`."""
    with function_loop():
        handler: Any = Mangum(
            application(*routes, bus=bus, **more), lifespan="off", custom_handlers=FRONT_DOORS
        )

    def ask(
        path: str, query: str = "", *, body: bytes = b"", door: Any = http_api, **headers: str
    ) -> dict[str, Any]:
        sent = {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
        return invoke(door(path, query, **headers) | sent, by=handler)

    return ask


async def describe(request: Request) -> Response:
    """Return a request's address, method and body, as a page sees them."""
    return JSONResponse(
        {
            "path": request.url.path,
            "params": request.path_params,
            "query": request.url.query,
            "method": request.method,
            "body": (await request.body()).decode(),
        }
    )
