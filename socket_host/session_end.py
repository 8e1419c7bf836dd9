"""The end of sessions: closes sockets whose session has expired or was ended."""

import asyncio
import logging
from collections.abc import Sequence
from contextvars import Context
from typing import Any

from functions.contract.bus import SESSION_END
from socket_host.bus import Bus
from socket_host.namespace import Namespace
from socket_host.transport.protocol import Transport

_log = logging.getLogger(__name__)

SWEEP_SECONDS = 2.0  # between two sweeps for expired sessions


class SessionEnd:
    """Closes the connections of expired sessions and of disconnected visitors."""

    def __init__(self, namespaces: Sequence[Namespace], transport: Transport, bus: Bus) -> None:
        self._namespaces = namespaces
        self._transport = transport
        self._tasks: set[asyncio.Task[None]] = set()
        bus.subscribe(SESSION_END, lambda host, body: self._begin(body))

    async def sweep(self) -> None:
        """Close the connections of expired sessions, repeatedly, until cancelled.

        Their clients reconnect, and are refused with the reason.
        """
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for namespace in self._namespaces:
                for connection in namespace.expired_connections():
                    await self._transport.close(connection)

    async def finish(self) -> None:
        """Wait until the clients that are being disconnected are gone."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, body: Any) -> None:
        # With an empty context, so that the visitor whose event caused it is not charged for it.
        task = Context().run(asyncio.create_task, self._disconnect(**body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _disconnect(self, visitor: str, signed_in_at: float | None = None, **_: Any) -> None:
        for namespace in self._namespaces:
            for sid in namespace.sids_of(visitor, signed_in_at):
                try:
                    await namespace.disconnect(sid)
                except Exception:
                    _log.exception("A client whose session has ended could not be disconnected.")
