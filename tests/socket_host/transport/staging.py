"""A SocketServer on our transport, and its clients."""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

from aiohttp import web

from socket_host.transport.native.socket_server import SocketServer
from tests.kit.protocol_client import Http, Poller, Socket, http_client


class Stage:
    """A server with its clients."""

    def __init__(self, stack: AsyncExitStack, sio: SocketServer, http: Http) -> None:
        self.stack = stack
        self.sio = sio
        self.http = http

    async def client(self, connect: str = "40") -> tuple[str, Socket]:
        """Return a client that has joined: its sid, and its websocket."""
        ws = await self.stack.enter_async_context(self.http.websocket())
        await ws.receive()
        await ws.send(connect)
        answer = await ws.receive()
        return json.loads(answer[answer.index("{") :])["sid"], ws

    async def poller(self) -> tuple[str, Poller]:
        """The same, by polling."""
        poller = await self.http.open()
        await poller.post("40")
        _, answer = await poller.get()
        return json.loads(answer[2:])["sid"], poller


async def stage(stack: AsyncExitStack, **options: Any) -> Stage:
    """Start a server on our transport."""
    sio = SocketServer(cors_allowed_origins=[], **options)
    app = web.Application()
    sio.attach(app, "/socket.io")
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    assert runner.server
    server = await asyncio.get_running_loop().create_server(
        sio.acceptor(runner.server, "/socket.io", "/socket.io/"), "127.0.0.1", 0
    )
    stack.callback(server.close)
    stack.push_async_callback(sio.shutdown)
    http = await stack.enter_async_context(http_client(server.sockets[0].getsockname()[1]))
    return Stage(stack, sio, http)
