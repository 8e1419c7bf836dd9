"""The stock transport, behind the interface that the host uses."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any

from aiohttp import web
from engineio.payload import Payload  # type: ignore[import-untyped]  # python-engineio ships no types

from socket_host.address import Addresses
from socket_host.admission import Check
from socket_host.bad_requests import BadRequests
from socket_host.bus import Bus
from socket_host.settings import Settings
from socket_host.transport.connections import Connections
from socket_host.transport.hooks import Hooks
from socket_host.transport.http import FEW, HttpServer, session_id
from socket_host.transport.limits import limits_of
from socket_host.transport.slots import Slots
from socket_host.transport.stock.packet import Packet
from socket_host.transport.stock.rooms import StockManager
from socket_host.transport.stock.server import Server, logger
from socket_host.transport.versions import check_versions

# A client that reconnects sends everything it has buffered in one POST. With the default of 16
# packets the whole request is lost, without an error; MAX_PAYLOAD limits its bytes anyway.
_MAX_PACKETS = 2_000


class StockTransport:
    """python-socketio's AsyncServer, served by aiohttp, which routes `path` to it.

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
        check_versions()
        Payload.max_decode_packets = _MAX_PACKETS
        self._limits = limits_of(settings)
        # python-engineio would keep a client that joins no namespace as long as it answers pings.
        self.slots: Slots[str] = Slots(self._limits.join_time, self._late, self._address)
        self._counts: Counter[str] = Counter()
        self._bad_requests = BadRequests(self._note)
        self._closing: set[asyncio.Task[None]] = set()
        self.sio = Server(
            check,
            addresses,
            self.slots,
            self._limits,
            self._note,
            client_manager=StockManager(bus),
            async_mode="aiohttp",
            serializer=Packet,
            logger=logger,
            engineio_logger=logger,
            ping_interval=settings.ping_interval,
            ping_timeout=settings.ping_timeout,
            max_http_buffer_size=settings.max_payload,
            # `check` decides about origins; this only adds the CORS headers, which [] leaves out.
            cors_allowed_origins=[] if settings.origins is None else _is_checked,
        )
        self._ping_interval = settings.ping_interval
        self._sweep: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the tasks that watch over the connections."""
        self._bad_requests.start()
        self._sweep = asyncio.create_task(self._close_expired())

    async def stop(self) -> None:
        """Close the remaining sessions, and stop the tasks that `start` began."""
        if self._sweep:
            self._sweep.cancel()
        await self.sio.shutdown()
        self.slots.stop()
        for late in (self.sio.backlogs, self.sio.slow_readers):
            late.clear()
        self._bad_requests.stop()

    def protocols(
        self, server: web.Server, connections: Connections
    ) -> Callable[[], asyncio.BaseProtocol]:
        """Return a factory that makes the protocol of each TCP connection."""
        return HttpServer(server, connections, self._limits, self._note, self._most_body)

    def connections(self) -> Collection[str]:
        """Return the Engine.IO ids of all open sessions."""
        connections: Collection[str] = self.sio.environ.keys()
        return connections

    def closed(self) -> Mapping[str, int]:
        """Return how many clients were closed, by cause, as far as this transport knows."""
        return self._counts

    def _note(self, cause: str, detail: str) -> None:
        self._counts[cause] += 1
        if self._counts[cause] == 1:
            logger.error(
                "Closed or refused a client: %s (%s). /health counts further ones.",
                cause,
                detail,
                extra={"cause": cause},
            )

    async def close(self, connection: str) -> None:
        """Close a connection in a way that makes its client reconnect by itself.

        A Socket.IO DISCONNECT would not: after it, a client stays disconnected.
        """
        socket = self.sio.eio.sockets.get(connection)
        if socket is None:
            return
        if not socket.upgraded:
            await socket.close(wait=False)  # puts a CLOSE packet into the response to its poll
        socket.queue.put_nowait(None)  # ends a websocket's writer, which closes the websocket

    def _late(self, connection: str) -> None:
        """Close a client that has not joined a namespace in time."""
        self._counts["never joined"] += 1
        task = asyncio.get_running_loop().create_task(self.close(connection))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _address(self, connection: str) -> bytes:
        address: bytes = self.sio.sessions[connection]
        return address

    def _most_body(self, target: str) -> int:
        """Return how many bytes a POST may have on the wire."""
        # Small chunks may double the size of a body.
        return 2 * self._limits.payload + FEW if self.sio.has_joined(session_id(target)) else FEW

    async def _close_expired(self) -> None:
        """Close clients whose session has expired, as often as clients are pinged."""
        while True:
            await asyncio.sleep(self._ping_interval)
            for connection in [c for c in self.connections() if self._is_expired(c)]:
                await self.close(connection)

    def _is_expired(self, connection: str) -> bool:
        for name, handler in self.sio.namespace_handlers.items():
            sid = self.sio.manager.sid_from_eio_sid(connection, name)
            if sid and isinstance(handler, Hooks) and handler.expired(sid):
                return True
        return False


def _is_checked(origin: str, environ: Any) -> bool:
    return True
