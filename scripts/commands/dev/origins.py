"""The origins on one machine: what each origin id of the template stands for."""

import asyncio
import json
from collections.abc import Callable
from typing import Protocol

from aiohttp import ClientResponse, web
from multidict import CIMultiDict

from scripts.commands.dev import http_api
from scripts.commands.dev.function import Function
from scripts.commands.dev.host import Host
from scripts.commands.dev.invocation import FunctionError
from scripts.commands.dev.origin_request import OriginRequest
from scripts.commands.dev.proxy import Proxy
from scripts.commands.dev.refusal import RefusedError
from scripts.commands.dev.scheduler import Routed


class Origin(Protocol):
    """Something that can answer a request from the edge."""

    sockets: bool  # whether it accepts websockets

    async def answer(self, viewer: web.BaseRequest, request: OriginRequest) -> web.StreamResponse:
        """Return the answer, or raise RefusedError."""
        ...


class FunctionOrigin:
    """The function behind an HTTP API."""

    sockets = False

    def __init__(
        self,
        function: Function,
        routed: Callable[[OriginRequest], Routed | None] = lambda request: None,
    ) -> None:
        """`routed` returns the function that has its own route for a request, if there is one."""
        self._function = function
        self._routed = routed

    async def answer(self, viewer: web.BaseRequest, request: OriginRequest) -> web.StreamResponse:
        """Return the function's response to the request."""
        if any(name.lower() == "host" for name, _ in request.headers):
            raise RefusedError(
                403,
                "This behaviour forwards the viewer's Host header, but an HTTP API answers only to "
                "its own host name. Use the policy AllViewerExceptHostHeader.",
            )
        if (size := request.head_size) > http_api.MAX_HEAD:
            raise RefusedError(
                431,
                f"The request's headers take {size:,} bytes, {request.size_of('cookie'):,} of them "
                f"for cookies, and an HTTP API accepts {http_api.MAX_HEAD:,}. Cookies of other "
                "sites on localhost count too: delete those that you do not need.",
            )
        function, event = self._function, http_api.event(request)
        if routed := self._routed(request):
            function = routed.function
            event["routeKey"] = event["requestContext"]["routeKey"] = routed.route.key
            if routed.variables:
                event["pathParameters"] = dict(routed.variables)
        try:
            async with asyncio.timeout(http_api.SECONDS):
                result = await function.invoke(event)
            answer = http_api.response(result)
        except TimeoutError:
            raise RefusedError(
                503,
                f"The function has not answered within {http_api.SECONDS:g} s, and an HTTP API "
                "waits no longer, even if the function's Timeout in the template is longer.",
            ) from None
        except FunctionError as error:
            raise _refusal(error) from None
        except http_api.ResultError as error:
            raise RefusedError(502, f"The handler's result is not a response: {error}.") from None
        return web.Response(
            status=answer.status, headers=CIMultiDict(answer.headers), body=answer.body
        )


class HostOrigin:
    """The socket host."""

    sockets = True

    def __init__(self, host: Host, proxy: Proxy) -> None:
        self._host = host
        self._proxy = proxy

    async def answer(self, viewer: web.BaseRequest, request: OriginRequest) -> web.StreamResponse:
        """Return the host's response; if it accepts a websocket, pass bytes both ways."""
        if self._host.address is None:
            raise RefusedError(502, self._host.why_away)
        return await self._proxy.answer(viewer, request, self._host.address)


class PagesOrigin:
    """Pages from elsewhere, such as `sam local start-api`, in place of the function.

    A front end's development server may open websockets, to reload what is saved.
    """

    sockets = True

    def __init__(self, url: str, proxy: Proxy) -> None:
        self._url = url.rstrip("/")
        self._proxy = proxy

    async def answer(self, viewer: web.BaseRequest, request: OriginRequest) -> web.StreamResponse:
        """Return the server's response; raise RefusedError if it is a function's error."""
        return await self._proxy.answer(viewer, request, self._url, inspect=_raise_error)


async def _raise_error(answer: ClientResponse) -> bytes:
    """Raise RefusedError for a function's error, which `sam local` sends with status 200."""
    if answer.status != 200 or answer.content_type != "application/json":
        return b""
    body = await answer.content.read()
    try:
        error = json.loads(body)
        sentence = f"{error['errorType']}: {error['errorMessage']}"
        known = error.keys() <= {"errorType", "errorMessage", "requestId", "stackTrace"}
        detail = "".join(error.get("stackTrace") or [])
    except (ValueError, TypeError, LookupError):
        return body
    if not known:
        return body
    if error["errorType"] == "Runtime.ImportModuleError":
        sentence = f"{_NOT_BUILT} ({sentence})"
    raise RefusedError(502, sentence, detail)


_NOT_BUILT = (
    "The function cannot be imported in its container. Run scripts/sam build, then scripts/sam "
    "local without -t: the folder functions/ does not contain the packages."
)


def _refusal(error: FunctionError) -> RefusedError:
    refusal = RefusedError(error.status, error.sentence, error.detail)
    refusal.until_saved = error.broken
    return refusal
