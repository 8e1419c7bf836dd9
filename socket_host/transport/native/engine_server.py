"""The server that python-socketio calls `sio.eio`, on top of this host's engine."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import engineio  # type: ignore[import-untyped]  # python-engineio ships no types
from aiohttp import web

from socket_host.transport.limits import Limits
from socket_host.transport.native import polling
from socket_host.transport.native.client import Listener
from socket_host.transport.native.engine import Engine
from socket_host.transport.native.environ import Environ
from socket_host.transport.native.head import Head
from socket_host.transport.native.message import Message
from socket_host.transport.native.reasons import SERVER_DISCONNECT
from socket_host.transport.native.refusal import Refusal


def _random_ids() -> Iterator[str]:
    """Yield ids of 120 random bits; draws many at a time, as each draw is a system call."""
    while True:
        text = base64.urlsafe_b64encode(os.urandom(15 * 64)).decode()
        yield from (text[at : at + 20] for at in range(0, len(text), 20))


class EngineServer(engineio.AsyncServer):  # type: ignore[misc]  # ships no types
    """python-engineio's interface, as python-socketio uses it, on top of this host's engine."""

    engine: Engine
    _ids: Iterator[str]

    def start(self, server: Listener, limits: Limits) -> None:
        """Create the engine; called once, from the constructor of `server`."""
        limits = replace(
            limits,
            ping_interval=self.ping_interval,
            ping_grace=self.ping_interval_grace_period,
            ping_timeout=self.ping_timeout,
            payload=self.max_http_buffer_size,
        )
        self._ids = _random_ids()
        self.engine = Engine(server, limits, self.generate_id)
        self.engine.upgrades.allowed = self.allow_upgrades
        self.engine.compresses_from = self.compression_threshold
        if not self.http_compression:
            self.engine.compresses_from = sys.maxsize
        self.engine.polls = "polling" in self.transports
        self.engine.websockets = "websocket" in self.transports
        self.sockets = self.engine.clients

    def generate_id(self) -> str:
        """Return a session id that cannot be guessed."""
        return next(self._ids)

    def attach(self, app: web.Application, engineio_path: str = "engine.io") -> None:
        """Serve polling clients at the path, with and without a trailing slash."""
        path = "/" + engineio_path.strip("/")
        for spelling in (path, path + "/"):
            app.router.add_route("*", spelling, self.handle_request)

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """Answer a request that came through aiohttp."""
        head = polling.head_of(request)
        environ = Environ(head, request.get_extra_info("peername"))
        try:
            if request.method == "OPTIONS":
                response: web.StreamResponse = web.Response(text="ok")
            elif head.upgrades:
                return polling.take_over(self.engine, request, head, environ)
            else:
                response = await self._answer(request, head, environ)
        except Refusal as refusal:
            self.engine.counts["refused requests"] += 1
            response = web.Response(
                text=refusal.body, status=refusal.status, content_type="application/json"
            )
        if "Origin" in request.headers:
            response.headers.extend(self._cors_headers(environ))
        return response

    async def _answer(self, request: web.Request, head: Head, environ: Environ) -> web.Response:
        """Answer a polling client; raises Refusal."""
        client = self.engine.admit(environ, head)
        if client is not None:
            return await polling.answer(self.engine, client, request)
        client = self.engine.open_polling(environ)
        response = polling.opened(self.engine, client, request)
        if self.cookie:
            cookie = self.cookie
            if not isinstance(cookie, dict):
                cookie = {"name": cookie, "path": "/", "SameSite": "Lax"}
            response.headers["Set-Cookie"] = self._generate_sid_cookie(client.sid, cookie)
        return response

    async def send_packet(self, sid: str, pkt: Any) -> None:
        """Send an Engine.IO packet to a client; do nothing if the client has gone."""
        client = self.engine.clients.get(sid)
        if client is not None:
            client.send(Message.of(pkt.encode()))

    async def disconnect(self, sid: str | None = None) -> None:
        """Close a client's session, or all of them, and wait for their handlers."""
        if sid is None:
            await self.engine.stop()
            return
        client = self.engine.clients.get(sid)
        task = client and self.engine.close(client, SERVER_DISCONNECT)
        if client and task and client.inbox is None:
            await asyncio.shield(task)

    async def shutdown(self) -> None:
        """Close all clients and stop."""
        await self.engine.stop()
