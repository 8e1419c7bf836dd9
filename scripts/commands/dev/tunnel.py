"""A websocket through the edge: once the host has accepted it, bytes in both directions.

Frames are not parsed, so anything the two ends agree on works: subprotocols, compression, pings,
close codes. Only this module depends on how aiohttp hands over a connection: by `set_parser`, which
its own websocket classes use too.
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
Own = Iterable[tuple[str, str]]  # headers that the edge adds to the host's

WRITE_TIMEOUT = 60.0  # seconds; a side that reads nothing for so long is disconnected


async def tunnel(
    request: web.BaseRequest, agreed: ClientResponse, own: Own = ()
) -> web.StreamResponse:
    """Pass on the host's 101 with our own headers, then bytes both ways until a side closes."""
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
    request.protocol.set_parser(viewer)  # type: ignore[arg-type]  # aiohttp types it for its own class
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
    """A parser, in aiohttp's sense, that leaves the bytes as they are."""

    def __init__(self, protocol: BaseProtocol) -> None:
        # Pauses reading from the connection while BUFFER is full.
        self.reader = StreamReader(protocol, BUFFER // 2, loop=asyncio.get_running_loop())

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.reader.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        self.reader.feed_eof()


async def _pump(source: _Bytes, write: Callable[[bytes], Awaitable[None]]) -> None:
    with suppress(ClientError, ConnectionError, TimeoutError):
        while data := await source.reader.readany():
            async with asyncio.timeout(WRITE_TIMEOUT):
                await write(data)


async def _first(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run all until one is done, then cancel the others."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                background.tell("Passing a websocket on", ended)
