"""Forwards requests to an origin that speaks HTTP: the socket host, or `sam local start-api`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

from aiohttp import (
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
    web,
)
from multidict import CIMultiDict
from yarl import URL

from scripts.commands.dev import background
from scripts.commands.dev.origin_request import OriginRequest
from scripts.commands.dev.policies import end_to_end
from scripts.commands.dev.refusal import RefusedError
from scripts.commands.dev.tunnel import Own, tunnel

# Shorter than any origin keeps an idle connection. Otherwise an origin could close one just as it
# is used again, and it would be unclear whether the request had arrived.
KEEP_ALIVE_SECONDS = 15.0

CONNECT_SECONDS = 5.0

MAX_FIELD = 64 * 1024  # bytes of a response's header, such as a list of links to preload

# Inspects a response before it is passed on; returns what it has read of the body, or raises
# RefusedError.
Inspect = Callable[[ClientResponse], Awaitable[bytes]]


async def accept(answer: ClientResponse) -> bytes:
    """Pass a response on without reading it."""
    return b""


class Proxy:
    """A pool of connections to origins, without a limit on their number."""

    def __init__(self) -> None:
        self._session = ClientSession(
            connector=TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS),
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            max_line_size=MAX_FIELD,
            max_field_size=MAX_FIELD,
            skip_auto_headers=["User-Agent", "Accept", "Accept-Encoding", "Content-Type"],
        )
        # aiohttp repeats a GET when its connection breaks. But a poll removes messages from the
        # host's queue, and a repeated one would hide that those of the first are lost.
        self._session._retry_connection = False
        self._tunnels: set[asyncio.Task[web.StreamResponse]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for task in self._tunnels:
            task.cancel()
        await asyncio.gather(*self._tunnels, return_exceptions=True)
        await self._session.close()

    async def answer(
        self,
        viewer: web.BaseRequest,
        request: OriginRequest,
        origin: str,
        own: Own = (),
        inspect: Inspect = accept,
    ) -> web.StreamResponse:
        """Return the origin's response, streamed to the viewer, with our `own` headers added.

        Raises RefusedError if there is none.
        """
        exchange = self._exchange(viewer, request, origin, own, inspect)
        if not request.upgrades:
            return await exchange
        # What a viewer sent before it disconnected must reach the host. The disconnect cancels this
        # coroutine, so the exchange is a task of its own; a websocket ends by itself.
        task = asyncio.create_task(exchange)
        self._tunnels.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, tunnel: asyncio.Task[web.StreamResponse]) -> None:
        self._tunnels.discard(tunnel)
        if tunnel.cancelled():
            return
        # Retrieved here, because nobody else does so if the viewer has disconnected.
        error = tunnel.exception()
        if error and not isinstance(error, RefusedError | ConnectionError):
            background.tell("Passing a websocket on", error)

    async def status(self, url: str) -> int:
        """Return the status of the response to a GET; raise ClientError or TimeoutError."""
        timeout = ClientTimeout(total=CONNECT_SECONDS)
        async with self._session.get(url, timeout=timeout) as answer:
            return answer.status

    async def _exchange(
        self,
        viewer: web.BaseRequest,
        request: OriginRequest,
        origin: str,
        own: Own,
        inspect: Inspect,
    ) -> web.StreamResponse:
        try:
            async with self._session.request(
                request.method,
                URL(origin + request.target, encoded=True),
                headers=CIMultiDict(request.headers),
                data=request.body,
                allow_redirects=False,
                timeout=ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=request.read_timeout),
            ) as answer:
                if answer.status == 101:
                    return await tunnel(viewer, answer, own)
                return await _stream(viewer, answer, own, await inspect(answer))
        except TimeoutError:
            raise RefusedError(
                504, f"The origin {origin} was silent for {request.read_timeout:g} s."
            ) from None
        except ClientError as error:
            raise RefusedError(502, f"The origin {origin} did not answer: {error}.") from None


async def _stream(
    viewer: web.BaseRequest, answer: ClientResponse, own: Own, prefix: bytes
) -> web.StreamResponse:
    response = web.StreamResponse(
        status=answer.status,
        reason=answer.reason,
        headers=CIMultiDict([*end_to_end(list(answer.headers.items())), *own]),
    )
    await response.prepare(viewer)
    try:
        if prefix:
            await response.write(prefix)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
    except (ClientError, ConnectionError):
        # Break this connection too, or the viewer would take half a response for a whole one.
        if viewer.transport:
            viewer.transport.abort()
    return response
