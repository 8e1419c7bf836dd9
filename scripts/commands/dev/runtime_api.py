"""The Runtime API, where the function's process gets invocations and posts their results.

Only the calls that a runtime needs: see "Using the Lambda runtime API" in the Lambda developer
guide.
"""

import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Middleware

from scripts.commands.dev.invocation import Invocation

_VERSION = "/2018-06-01/runtime"
_MAX_RESULT = 64 * 1024 * 1024  # bytes; above Lambda's limit, so that the error can give the size


class Runtime(Protocol):
    """What the Runtime API needs of an environment."""

    async def next(self) -> Invocation:
        """Wait for the next invocation, and return it."""

    def respond(self, id_: str, payload: bytes) -> None:
        """Take the handler's result for an invocation; raise KeyError if it is not running."""

    def report(self, id_: str, payload: bytes) -> None:
        """Take the error of an invocation; raise KeyError if it is not running."""

    def report_init(self, payload: bytes) -> None:
        """Take the error of importing the handler."""


@asynccontextmanager
async def serving(environment: Runtime, listener: socket.socket) -> AsyncIterator[None]:
    """Serve one environment's Runtime API on a listening socket."""
    own = "{}:{}".format(*listener.getsockname()[:2])
    app = web.Application(client_max_size=_MAX_RESULT, middlewares=[_no_browsers(own)])
    app.add_routes(
        [
            web.get(f"{_VERSION}/invocation/next", _next(environment)),
            web.post(f"{_VERSION}/invocation/{{id}}/response", _take(environment.respond)),
            web.post(f"{_VERSION}/invocation/{{id}}/error", _take(environment.report)),
            web.post(f"{_VERSION}/init/error", _take_init(environment)),
        ]
    )
    # A process that has ended must not get any more invocations.
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    try:
        yield
    finally:
        await runner.cleanup()


_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _no_browsers(own: str) -> Middleware:
    """Refuse requests from browsers, because any web page can send requests to this machine.

    Browsers add Origin or Sec-Fetch-Site, unless the page's own host name resolves to this machine.
    Then Host has that name.
    """

    @web.middleware
    async def refuse(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.host != own or {"Origin", "Sec-Fetch-Site"} & request.headers.keys():
            return _status(403, "Forbidden")
        return await handler(request)

    return refuse


def _next(environment: Runtime) -> _Handler:
    async def handler(request: web.Request) -> web.Response:
        invocation = await environment.next()
        deadline = time.time() + invocation.seconds
        return web.Response(
            body=invocation.event,
            content_type="application/json",
            headers={
                "Lambda-Runtime-Aws-Request-Id": invocation.id,
                "Lambda-Runtime-Deadline-Ms": str(int(deadline * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": _ARN,
            },
        )

    return handler


_ARN = "arn:aws:lambda:us-east-1:000000000000:function:sidepath"


def _take(receive: Callable[[str, bytes], None]) -> _Handler:
    async def handler(request: web.Request) -> web.Response:
        try:
            receive(request.match_info["id"], await request.read())
        except KeyError:
            return _status(400, "InvalidRequestID")
        return _status(202, "OK")

    return handler


def _take_init(environment: Runtime) -> _Handler:
    async def handler(request: web.Request) -> web.Response:
        environment.report_init(await request.read())
        return _status(202, "OK")

    return handler


def _status(status: int, word: str) -> web.Response:
    return web.json_response({"status": word}, status=status)
