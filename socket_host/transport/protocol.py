"""What a transport offers the host."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

import socketio  # type: ignore[import-untyped]  # python-socketio ships no types
from aiohttp import web

from socket_host.admission import Usage
from socket_host.transport.connections import Connections


class Transport(Protocol):
    """A Socket.IO server, and the connections that it has.

    It is made of the host's settings, the path of its sockets, a check that is asked about every
    request, the addresses of clients, and the bus.
    """

    sio: socketio.AsyncServer

    @property
    def slots(self) -> Usage:
        """Who is connected, and from where."""

    async def start(self) -> None:
        """Prepare for connections."""

    async def stop(self) -> None:
        """Close who is left, and wait for their handlers."""

    def protocols(
        self, server: web.Server, connections: Connections
    ) -> Callable[[], asyncio.BaseProtocol]:
        """Return what makes the protocol of each TCP connection, given aiohttp's server."""

    def connections(self) -> Collection[str]:
        """Return the Engine.IO ids of all who are connected."""

    def closed(self) -> Mapping[str, int]:
        """Return how many were let go or refused, by cause."""

    async def close(self, connection: str) -> None:
        """Close a connection under its client, which then connects again by itself."""
