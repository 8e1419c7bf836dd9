"""The socket host: puts settings, transport and events together, and starts and stops them."""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from aiohttp import web

from functions.contract.bus import LOOPBACK_PATH
from socket_host import threads
from socket_host.address import Addresses
from socket_host.admission import Admission, Check, Rejection
from socket_host.bus import Bus, Loopback, open_bus
from socket_host.checks import make_namespaces
from socket_host.drain import release
from socket_host.lease import Lease, open_lease
from socket_host.listening import listen
from socket_host.metrics import keep_writing
from socket_host.namespace import Namespace
from socket_host.origin import Origins
from socket_host.session_end import SessionEnd
from socket_host.settings import Settings
from socket_host.transport.connections import Connections
from socket_host.transport.http import HEALTH
from socket_host.transport.http_headers import add_headers
from socket_host.transport.native.transport import NativeTransport
from socket_host.transport.protocol import Transport
from socket_host.transport.stock.transport import StockTransport
from socket_host.visitors import Visitors

N = TypeVar("N", bound=Namespace)

SOCKET_PATH = "/socket.io"

TRANSPORTS: dict[str, Callable[[Settings, str, Check, Addresses, Bus], Transport]] = {
    "fast": NativeTransport,
    "stock": StockTransport,
}

_BACKLOG = 2_048  # connections waiting to be accepted: after a restart, all clients reconnect

_OTHERS = 100  # TCP connections allowed in addition to those of clients

# Seconds after which aiohttp cancels request handlers that are still running.
_SHUTDOWN_SECONDS = 1.0


def create_app(settings: Settings, namespaces: Sequence[type[Namespace]]) -> "SocketHost":
    """Return a host with an instance of each namespace, not yet started; may raise StartError."""
    return SocketHost(settings, make_namespaces(namespaces, settings))


class SocketHost:
    """A web application and a Socket.IO server on one port."""

    def __init__(self, settings: Settings, namespaces: Sequence[Namespace]) -> None:
        self.settings = settings
        self.namespaces = namespaces
        most, of_one = settings.max_connections, settings.max_per_address
        self.admission = Admission(Origins(settings.origins), most, of_one)
        addresses = Addresses(settings.proxies, told_apart=of_one > 0)
        # A polling client sometimes has two, and so does every client while it upgrades.
        self.connections = Connections(
            most + most // 4 + _OTHERS,
            2 * self.admission.most_of_one,
            addresses.of_peer if of_one and not settings.proxies else None,
        )
        transport = TRANSPORTS[settings.transport]
        self.bus = open_bus(settings.bus, settings.bus_password, settings.function_queue)
        self.transport = transport(settings, SOCKET_PATH, self._check, addresses, self.bus)
        self.sio = self.transport.sio
        # python-socketio admits any client to "/", even if there is no such namespace.
        self.sio.namespaces = [namespace.namespace for namespace in namespaces]
        self.visitors = Visitors(settings)
        self.lease: Lease | None = None  # if any work is marked `once`
        if any(namespace.needs_lease for namespace in namespaces):
            self.lease = Lease(open_lease(settings.leases), self.bus.host_id)
        for namespace in namespaces:
            namespace.visitors = self.visitors
            if self.lease is not None:
                namespace.lease = self.lease
            self.sio.register_namespace(namespace)
        self._session_end = SessionEnd(namespaces, self.transport, self.bus)
        self.web = web.Application()
        self.web.on_response_prepare.append(add_headers)
        self.web.add_routes([web.get(HEALTH, self._health), *self._socket_routes()])
        if settings.session_secret:
            loopback = Loopback(self.sio, settings.session_secret, *settings.former_secrets)
            self.web.add_routes([web.post(LOOPBACK_PATH, loopback.emit)])
        self._hurry = asyncio.Event()
        self._running = AsyncExitStack()

    def namespace(self, kind: type[N]) -> N:
        """Return the namespace of that class; raise LookupError if there is none."""
        for namespace in self.namespaces:
            if isinstance(namespace, kind):
                return namespace
        raise LookupError(f"No namespace of this host is a {kind.__name__}.")

    async def start(self) -> None:
        """Listen and serve.

        Raises StartError, such as PortTakenError, after stopping whatever it had started.
        """
        threads.install()
        async with AsyncExitStack() as starting:
            listening = starting.enter_context(listen(self.settings.bind, self.settings.port))
            # The bus starts before the namespaces and stops after them, to send what they publish.
            starting.push_async_callback(self.bus.stop)
            await self.bus.start()
            if self.lease is not None:
                await starting.enter_async_context(self.lease.running())
            for namespace in self.namespaces:
                await starting.enter_async_context(namespace.running())
            starting.push_async_callback(self._settle)
            sweeping = asyncio.create_task(self._session_end.sweep())
            starting.push_async_callback(self._session_end.finish)
            starting.callback(sweeping.cancel)
            # After the namespaces, because they get the replies; it also stops before them.
            self.bus.peers.start()
            starting.callback(self.bus.peers.stop)
            await self.transport.start()
            starting.push_async_callback(self.transport.stop)
            runner = web.AppRunner(
                self.web, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS, handle_signals=False
            )
            await runner.setup()
            starting.push_async_callback(runner.cleanup)
            assert runner.server
            server = await asyncio.get_running_loop().create_server(
                self.transport.protocols(runner.server, self.connections),
                sock=listening,
                backlog=_BACKLOG,
            )
            starting.push_async_callback(_close, server, listening)
            self.port: int = listening.getsockname()[1]
            if self.settings.metric_namespace:
                writing = asyncio.create_task(
                    keep_writing(self.settings.metric_namespace, self._count, self._bus_degraded)
                )
                starting.callback(writing.cancel)
            self._running = starting.pop_all()

    async def drain(self) -> None:
        """Accept no new connections, fail /health, and disconnect all clients, a few at a time."""
        await self._release(self.settings.drain_seconds)

    def hurry(self) -> None:
        """Disconnect all remaining clients at once, during a drain."""
        self._hurry.set()

    async def stop(self) -> None:
        """Disconnect the remaining clients, finish running events, store unsaved data, and end."""
        await self._release(0)
        await self._running.aclose()

    async def _release(self, seconds: float) -> None:
        self.admission.draining = True
        await release(self.transport.connections, self.transport.close, seconds, self._hurry)

    async def _settle(self) -> None:
        await asyncio.gather(*(namespace.settle() for namespace in self.namespaces))

    def _socket_routes(self) -> list[web.RouteDef]:
        # With and without the trailing slash: clients can be configured to omit it.
        handle = self.sio.handle_request
        return [web.route("*", path, handle) for path in (SOCKET_PATH, SOCKET_PATH + "/")]

    def _count(self) -> int:
        return len(self.transport.connections())

    def _bus_degraded(self) -> bool:
        return bool(self.bus.health()["status"] != "ok")

    def _check(self, origin: str | None, opens: bool, address: bytes) -> Rejection | None:
        return self.admission.check(
            origin,
            opens=opens,
            connections=self._count(),
            usage=self.transport.slots,
            address=address,
        )

    async def _health(self, request: web.Request) -> web.Response:
        draining = self.admission.draining
        bus = self.bus.health()
        namespaces = {each.namespace: each.health() for each in self.namespaces}
        body = {
            # If the bus is down, it is down for other hosts too, so clients stay here.
            "status": "draining" if draining else self._status(bus["status"], namespaces),
            "connections": self._count(),
            "refused": self._refused(),
            "closed": self.transport.closed(),
            "bus": bus,
            "namespaces": namespaces,
            **({} if self.lease is None else {"lease": self.lease.health()}),
        }
        return web.json_response(body, status=503 if draining else 200)

    def _status(self, bus: str, namespaces: dict[str, dict[str, Any]]) -> str:
        tasks = [task for each in namespaces.values() for task in each.get("tasks", {}).values()]
        waiting = any(task["status"] == "waiting" for task in tasks)
        away = self.lease is not None and self.lease.health()["status"] != "ok"
        return "degraded" if waiting or away else bus

    def _refused(self) -> Counter[str]:
        refused = self.admission.refused.copy()
        for namespace in self.namespaces:
            refused.update(namespace.refused)
        return refused


async def _close(server: asyncio.Server, listening: socket.socket) -> None:
    """Stop accepting connections; pass those already accepted to aiohttp, which closes them."""
    # asyncio leaks a connection if its server closes after accepting it and before giving it a
    # protocol (python/cpython#109564). So: stop accepting, wait, close. uvloop does not need this;
    # Windows has no such call.
    with contextlib.suppress(NotImplementedError):
        asyncio.get_running_loop().remove_reader(listening)
    await asyncio.sleep(0.01)
    server.close()
