"""The server for protocol test suites.

`python -m tests.kit.protocol_server --port N` has two namespaces, `/` and `/custom`, which emit
`auth` with the client's auth at connect, and echo some events. At `/engine.io`, without Socket.IO,
the native transport's engine echoes every message.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from socket_host.__main__ import new_loop
from socket_host.app import SocketHost, create_app
from socket_host.namespace import Namespace
from socket_host.settings import Settings
from socket_host.transport.limits import limits_of
from socket_host.transport.native.client import Client
from socket_host.transport.native.engine_server import EngineServer
from socket_host.transport.native.environ import Environ
from socket_host.transport.native.head import Head
from socket_host.transport.native.message import Message

_APART = 0.01  # seconds


class Echoes(Namespace):
    """Echoes events."""

    async def on_connect(self, sid: str, environ: Any, auth: Any) -> None:
        self.server.start_background_task(self.say_auth, sid, auth)

    async def say_auth(self, sid: str, auth: Any) -> None:
        # The official suites wait for one message at a time, and would miss this one in the same
        # segment as the response to CONNECT.
        await asyncio.sleep(_APART)
        await self.emit("auth", auth or {}, to=sid)

    async def on_message(self, sid: str, *values: Any) -> None:
        await self.emit("message-back", values, to=sid)

    async def on_message_with_ack(self, sid: str, *values: Any) -> tuple[Any, ...]:
        return values

    async def on_draft(self, sid: str, text: Any) -> None:
        await self.emit("drafted", text, skip_sid=sid)

    async def on_echo(self, sid: str, value: Any) -> Any:
        return value


class Mirror:
    """Echoes every message of an Engine.IO client."""

    def refusal(self, head: Head, environ: Environ, opens: bool) -> None:
        """Accept everybody."""

    def opened(self, client: Client) -> None:
        """Expect no CONNECT."""
        client.engine.joined(client)

    def received(self, client: Client, data: str | bytes) -> None:
        client.send(Message.of("4" + data if isinstance(data, str) else data))

    def expired(self, client: Client) -> bool:
        """Make sessions never expire."""
        return False

    async def closed(self, client: Client, reason: str) -> None:
        """Do nothing."""


def mirror(settings: Settings) -> EngineServer:
    """The engine alone, with a host's settings."""
    server = EngineServer(
        async_mode="aiohttp",
        ping_interval=settings.ping_interval,
        ping_timeout=settings.ping_timeout,
        max_http_buffer_size=settings.max_payload,
        cors_allowed_origins="*",
    )
    server.start(Mirror(), limits_of(settings))
    return server


def make(**changes: Any) -> SocketHost:
    """A host without session, origin or rate checks, which is not started."""
    defaults: dict[str, Any] = {
        "session_secret": None,
        "origins": None,
        "port": 0,
        "max_payload": 1_000_000,
        "events_per_second": 1e9,
        "event_burst": 10**9,
        "max_per_address": 0,
        "drain_seconds": 0,
        "recovery_seconds": 0,  # so that events have no offset
        "transport": "fast",
    }
    settings = Settings(**defaults | changes)
    host = create_app(settings, [Echoes])
    host.sio.register_namespace(Echoes(settings, "/custom"))
    if settings.transport == "fast":
        mirror(settings).attach(host.web)
    return host


@asynccontextmanager
async def protocol_server(**changes: Any) -> AsyncIterator[SocketHost]:
    """Such a host in this process, stopped at the end."""
    host = make(**changes)
    await host.start()
    try:
        yield host
    finally:
        await host.stop()


async def main(**settings: Any) -> None:
    """Serve until killed."""
    async with protocol_server(**settings) as host:
        print(f"Protocol server listening on http://127.0.0.1:{host.port}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ping-interval", type=float, default=25.0)
    parser.add_argument("--ping-timeout", type=float, default=20.0)
    parser.add_argument("--transport", choices=["stock", "fast"], default="fast")
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main(**vars(parser.parse_args())))
