"""A websocket through the edge: once the host has agreed to one, bytes in both directions.

Nothing is taken apart, so whatever the two ends agree on holds: subprotocol, compression, pings,
close codes. This is the one place that knows how aiohttp hands over a connection; its own websocket
classes use the same door, `set_parser`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any

from aiohttp import ClientError, ClientResponse, StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from multidict import CIMultiDict

from scripts.commands.dev import background

BUFFER = 64 * 1024  # bytes read ahead in each direction while the other side is slow
Own = Iterable[tuple[str, str]]  # headers that we add to the host's

STUCK_SECONDS = 60.0  # a side that takes nothing for so long is taken for gone


async def tunnel(
    request: web.BaseRequest, agreed: ClientResponse, own: Own = ()
) -> web.StreamResponse:
    """Pass the host's 101 on, with our own headers, then bytes both ways, until a side closes."""
    connection = agreed.connection
    assert connection is not None
    assert connection.transport is not None
    assert connection.protocol is not None
    headers = CIMultiDict([*agreed.headers.items(), *own])
    response = web.StreamResponse(status=101, reason=agreed.reason, headers=headers)
    response.force_close()
    await response.prepare(request)
    loop = asyncio.get_running_loop()
    viewer, host = _Bytes(request.protocol), _Bytes(connection.protocol)
    request.protocol.set_parser(viewer)  # type: ignore[arg-type]  # typed for one class only
    connection.protocol.read_timeout = None  # a websocket may be silent
    connection.protocol.set_parser(host, host.reader)
    to_host = asyncio.StreamWriter(connection.transport, connection.protocol, None, loop)

    async def send_to_host(data: bytes) -> None:
        to_host.write(data)
        await to_host.drain()

    await _first(_pump(viewer, send_to_host), _pump(host, response.write))
    agreed.close()
    return response


class _Bytes:
    """What aiohttp calls a parser, for bytes that are to stay as they are."""

    def __init__(self, protocol: BaseProtocol) -> None:
        # Stops reading from the connection when BUFFER is full, until it has been read from.
        self.reader = StreamReader(protocol, BUFFER // 2, loop=asyncio.get_running_loop())

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.reader.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        self.reader.feed_eof()


async def _pump(source: _Bytes, write: Callable[[bytes], Awaitable[None]]) -> None:
    with suppress(ClientError, ConnectionError, TimeoutError):
        while data := await source.reader.readany():
            async with asyncio.timeout(STUCK_SECONDS):
                await write(data)


async def _first(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run all until one is done."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                background.tell("Passing a websocket on", ended)
