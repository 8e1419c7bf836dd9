"""The two origins as they are on one machine: what stands behind each id in the template."""

from typing import Protocol

from aiohttp import web
from multidict import CIMultiDict

from scripts.commands.dev import http_api
from scripts.commands.dev.function import Function
from scripts.commands.dev.host import Host
from scripts.commands.dev.invocation import FunctionError
from scripts.commands.dev.origin_request import OriginRequest
from scripts.commands.dev.proxy import Proxy
from scripts.commands.dev.refusal import RefusedError


class Origin(Protocol):
    """Whatever can answer a request that the edge sends on."""

    sockets: bool  # whether it can hold a websocket

    async def answer(self, viewer: web.BaseRequest, request: OriginRequest) -> web.StreamResponse:
        """Return the answer, or raise RefusedError."""
        ...


class FunctionOrigin:
    """The function behind an HTTP API."""

    sockets = False

    def __init__(self, function: Function) -> None:
        self._function = function

    async def answer(self, viewer: web.BaseRequest, request: OriginRequest) -> web.StreamResponse:
        """Return what the handler makes of the request as an event."""
        if any(name.lower() == "host" for name, _ in request.headers):
            raise RefusedError(
                403,
                "An HTTP API answers to its own host name only, and this behaviour forwards the "
                "viewer's. The policy AllViewerExceptHostHeader does not.",
            )
        try:
            result = await self._function.invoke(http_api.event(request))
            answer = http_api.response(result)
        except FunctionError as error:
            raise _refusal(error) from None
        except http_api.ResultError as error:
            raise RefusedError(502, f"The handler's result is not a response: {error}.") from None
        return web.Response(
            status=answer.status, headers=CIMultiDict(answer.headers), body=answer.body
        )


class HostOrigin:
    """The socket host, while it is there."""

    sockets = True

    def __init__(self, host: Host, proxy: Proxy) -> None:
        self._host = host
        self._proxy = proxy

    async def answer(self, viewer: web.BaseRequest, request: OriginRequest) -> web.StreamResponse:
        """Return the host's answer, or pass bytes both ways once it has agreed to a websocket."""
        if self._host.address is None:
            raise RefusedError(502, self._host.why_away)
        return await self._proxy.answer(viewer, request, self._host.address)


class PagesOrigin:
    """Pages from elsewhere, such as `sam local start-api`, in place of the function."""

    sockets = False

    def __init__(self, url: str, proxy: Proxy) -> None:
        self._url = url.rstrip("/")
        self._proxy = proxy

    async def answer(self, viewer: web.BaseRequest, request: OriginRequest) -> web.StreamResponse:
        """Return the answer of whoever is there."""
        return await self._proxy.answer(viewer, request, self._url)


def _refusal(error: FunctionError) -> RefusedError:
    refusal = RefusedError(error.status, error.sentence, error.detail)
    refusal.until_saved = error.broken
    return refusal
