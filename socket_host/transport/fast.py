"""The fast transport as the host uses it: offers what `socket_host.stock.Stock` does."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus

from aiohttp import web

from socket_host.admission import Rejection
from socket_host.bad_requests import BadRequests
from socket_host.bus import Bus
from socket_host.settings import Settings
from socket_host.transport.collector import tune
from socket_host.transport.engine import SERVER_DISCONNECT, Engine
from socket_host.transport.handover import Handover
from socket_host.transport.limits import limits_of
from socket_host.transport.python_socketio import FanOut, SocketServer
from socket_host.transport.recovery import Recovery
from socket_host.transport.request import Refusal

_FORBIDDEN = 4  # Engine.IO's number for what the server does not allow

_log = logging.getLogger(__name__)
_log.setLevel(logging.WARNING)  # below that python-socketio logs all that clients say


class Fast:
    """python-socketio's interface on this host's own transport, for websockets at `path`.

    `check` is asked about every request, with its Origin and whether it would open a connection.
    """

    rooms = FanOut  # what a bus is mixed with to keep the rooms

    def __init__(
        self,
        settings: Settings,
        path: str,
        check: Callable[[str | None, bool], Rejection | None],
        bus: Bus,
    ) -> None:
        self._path = path
        self._check = check
        recovery, self._handover = None, None
        if seconds := settings.recovery_seconds:
            recovery = Recovery(
                seconds,
                settings.session_secret,
                *settings.former_secrets,
                unproved=settings.ping_interval + settings.ping_timeout,
            )
            self._handover = Handover(bus, recovery, seconds)
        self.sio = SocketServer(
            admit=self._admit,
            limits=limits_of(settings),
            recovery=recovery,
            client_manager=bus,
            logger=_log,
            engineio_logger=_log,
            ping_interval=settings.ping_interval,
            ping_timeout=settings.ping_timeout,
            max_http_buffer_size=settings.max_payload,
            # [] is not "none" but "do not check": `check` has done that.
            cors_allowed_origins=list(settings.origins or []),
        )
        self._engine: Engine = self.sio.eio.engine
        self._bad_requests = BadRequests(self._engine.note)

    async def start(self) -> None:
        """Prepare the process for many connections."""
        tune()
        self._bad_requests.start()

    async def stop(self) -> None:
        """Close who is left, and wait for their handlers."""
        await self.sio.shutdown()
        if self._handover:
            self._handover.stop()
        self._bad_requests.stop()

    def protocols(self, server: web.Server) -> Callable[[], asyncio.BaseProtocol]:
        """Return what makes the protocol of each TCP connection, given aiohttp's own."""
        server.handler_cancellation = True  # a client that gives up its GET is gone
        return self.sio.front(server, self._path, self._path + "/")

    def connections(self) -> Collection[str]:
        """Return the Engine.IO ids of all who are connected."""
        connections: Collection[str] = self._engine.clients.keys()
        return connections

    def closed(self) -> Mapping[str, int]:
        """Return how many were let go or refused, by cause."""
        return self._engine.counts

    async def close(self, connection: str) -> None:
        """Close a connection under its client, which then connects again by itself."""
        client = self._engine.clients.get(connection)
        if client is not None:
            self._engine.close(client, SERVER_DISCONNECT)

    def _admit(self, origin: str | None, opens: bool) -> Refusal | None:
        rejection = self._check(origin, opens)
        if rejection is None:
            return None
        return Refusal(_FORBIDDEN, rejection.text.strip(), HTTPStatus(rejection.status))
