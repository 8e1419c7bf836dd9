"""The native transport, behind the interface that the host uses."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus

from aiohttp import web

from functions.contract.bus import SESSION_END
from socket_host.address import Addresses
from socket_host.admission import Check
from socket_host.bad_requests import BadRequests
from socket_host.bus import Bus
from socket_host.settings import Settings
from socket_host.transport.connections import Connections
from socket_host.transport.http import FEW, HttpServer, session_id
from socket_host.transport.limits import limits_of
from socket_host.transport.native.client import Client
from socket_host.transport.native.collector import tune
from socket_host.transport.native.engine import Engine
from socket_host.transport.native.environ import Environ
from socket_host.transport.native.head import Head
from socket_host.transport.native.manager import NativeManager
from socket_host.transport.native.reasons import SERVER_DISCONNECT
from socket_host.transport.native.recovery import Recovery
from socket_host.transport.native.refusal import Refusal
from socket_host.transport.native.session_migration import SessionMigration
from socket_host.transport.native.socket_server import SocketServer
from socket_host.transport.slots import Slots

_FORBIDDEN = 4  # Engine.IO's number for what the server does not allow

_log = logging.getLogger(__name__)
_log.setLevel(logging.WARNING)  # below that, python-socketio logs everything clients send


class NativeTransport:
    """python-socketio's interface on this host's own transport, for websockets at `path`.

    `check` is called for every request, with its Origin, whether it would open a session, and its
    client's address.
    """

    def __init__(
        self,
        settings: Settings,
        path: str,
        check: Check,
        addresses: Addresses,
        bus: Bus,
    ) -> None:
        self._path = path
        self._check = check
        self._addresses = addresses
        recovery, self._migration = None, None
        if seconds := settings.recovery_seconds:
            recovery = Recovery(
                seconds,
                settings.session_secret,
                *settings.former_secrets,
                unconfirmed=settings.ping_interval + settings.ping_timeout,
            )
            self._migration = SessionMigration(bus, recovery, seconds)
            ended = recovery.ended
            bus.subscribe(SESSION_END, lambda host, body: ended.end(body["visitor"]))
        self.sio = SocketServer(
            admit=self._admit,
            limits=limits_of(settings),
            recovery=recovery,
            client_manager=NativeManager(bus),
            logger=_log,
            engineio_logger=_log,
            ping_interval=settings.ping_interval,
            ping_timeout=settings.ping_timeout,
            max_http_buffer_size=settings.max_payload,
            # [] means "do not check", since `check` does.
            cors_allowed_origins=list(settings.origins or []),
        )
        self._engine: Engine = self.sio.eio.engine
        self._bad_requests = BadRequests(self._engine.note)

    async def start(self) -> None:
        """Prepare the process for many connections."""
        tune()
        self._bad_requests.start()

    async def stop(self) -> None:
        """Close the remaining sessions, and wait for their handlers."""
        await self.sio.shutdown()
        if self._migration:
            self._migration.stop()
        self._bad_requests.stop()

    def protocols(
        self, server: web.Server, connections: Connections
    ) -> Callable[[], asyncio.BaseProtocol]:
        """Return a factory that makes the protocol of each TCP connection."""
        server.handler_cancellation = True  # a client that aborts its GET has gone
        self._engine.connections = connections
        http = HttpServer(
            server, connections, self._engine.limits, self._engine.note, self._most_body
        )
        return self.sio.acceptor(http, self._path, self._path + "/")

    @property
    def slots(self) -> Slots[Client]:
        """The open sessions, counted by address."""
        return self._engine.slots

    def connections(self) -> Collection[str]:
        """Return the Engine.IO ids of all open sessions."""
        connections: Collection[str] = self._engine.clients.keys()
        return connections

    def closed(self) -> Mapping[str, int]:
        """Return how many clients were closed or refused, by cause."""
        return self._engine.counts

    async def close(self, connection: str) -> None:
        """Close a connection in a way that makes its client reconnect by itself."""
        client = self._engine.clients.get(connection)
        if client is not None:
            self._engine.close(client, SERVER_DISCONNECT)

    def _most_body(self, target: str) -> int:
        """Return how many bytes a POST may have on the wire."""
        client = self._engine.clients.get(session_id(target))
        # Small chunks may double the size of a body.
        return 2 * self._engine.limits.payload + FEW if client and client.members else FEW

    def _admit(self, head: Head, environ: Environ, opens: bool) -> Refusal | None:
        headers = head.headers
        if opens:
            environ.address = self._addresses.of(environ.peer, headers.get("x-forwarded-for"))
        rejection = self._check(headers.get("origin"), opens, environ.address)
        if rejection is None:
            return None
        return Refusal(_FORBIDDEN, rejection.text.strip(), HTTPStatus(rejection.status))
