"""The interface of a transport."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

import socketio  # type: ignore[import-untyped]  # python-socketio ships no types
from aiohttp import web

from socket_host.admission import Usage
from socket_host.transport.connections import Connections


class Transport(Protocol):
    """A Socket.IO server and its connections.

    Its constructor takes the host's settings, the path of the sockets, a check that is called for
    every request, the addresses of clients, and the bus.
    """

    sio: socketio.AsyncServer

    @property
    def slots(self) -> Usage:
        """The open sessions, counted by address."""

    async def start(self) -> None:
        """Prepare for connections."""

    async def stop(self) -> None:
        """Close the remaining sessions, and wait for their handlers."""

    def protocols(
        self, server: web.Server, connections: Connections
    ) -> Callable[[], asyncio.BaseProtocol]:
        """Return a factory that makes the protocol of each TCP connection."""

    def connections(self) -> Collection[str]:
        """Return the Engine.IO ids of all open sessions."""

    def closed(self) -> Mapping[str, int]:
        """Return how many clients were closed or refused, by cause."""

    async def close(self, connection: str) -> None:
        """Close a connection in a way that makes its client reconnect by itself."""
