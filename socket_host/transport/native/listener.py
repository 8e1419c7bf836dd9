"""What the engine tells the layer above it, and how that says that a client is wrong."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol

from socket_host.transport.native.client import Client
from socket_host.transport.native.environ import Environ
from socket_host.transport.native.head import Head
from socket_host.transport.native.refusal import Refusal

# The reasons python-engineio gives to disconnect handlers.
SERVER_DISCONNECT, CLIENT_DISCONNECT = "server disconnect", "client disconnect"
PING_TIMEOUT, TRANSPORT_CLOSE = "ping timeout", "transport close"
TRANSPORT_ERROR = "transport error"


class PacketError(Exception):
    """A client sent what no client may send; the text says what."""


class Listener(Protocol):
    """What the engine tells the layer above it."""

    def refusal(self, head: Head, environ: Environ, opens: bool) -> Refusal | None:
        """Tell why a request is to be refused, or None; `opens` says it would open a session."""

    def opened(self, client: Client) -> None:
        """A session has begun."""

    def received(self, client: Client, data: str | bytes) -> None:
        """A message came in; raises PacketError."""

    def expired(self, client: Client) -> bool:
        """Tell whether a client has outlived its session; asked before each ping."""

    def closed(self, client: Client, reason: str) -> Coroutine[Any, Any, None]:
        """A session has ended: return what there is to do then."""
