"""A stand-in for the socket host, behind a real edge, which answers everything with one handler."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast

from aiohttp import (
    web,
)

from scripts.commands.dev.host import Host
from scripts.commands.dev.origins import HostOrigin
from scripts.commands.dev.proxy import Proxy
from tests.scripts.dev.edges import (
    Recorder,
    RunningEdge,
    running,
    upgrade,
)

UPGRADE = upgrade("/socket.io/").encode()


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def host(handler: Handler) -> AsyncIterator[tuple[RunningEdge, SimpleNamespace]]:
    """An edge, and behind it a socket host that answers everything with one handler."""
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(
        socket.SOL_SOCKET, socket.SO_RCVBUF, 4096
    )  # so that a host can be slow to read
    await web.SockSite(runner, listener).start()
    port = listener.getsockname()[1]
    kept = SimpleNamespace(address=f"http://127.0.0.1:{port}", why_away="It rests.")
    async with Proxy() as proxy:
        origins = {
            "function": Recorder("pages"),
            "socket-host": HostOrigin(cast(Host, kept), proxy),
        }
        async with running(origins=origins) as edge:
            try:
                yield edge, kept
            finally:
                await runner.cleanup()
