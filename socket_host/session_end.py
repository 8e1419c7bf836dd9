"""The end of sessions: closes sockets whose session has expired or was ended."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from contextvars import Context
from typing import Any

from functions.contract.bus import SESSION_END
from socket_host.bus import Bus
from socket_host.namespace import Namespace
from socket_host.transport.protocol import Transport

_log = logging.getLogger(__name__)

SWEEP_SECONDS = 2.0  # between two sweeps for expired sessions
_FINISH_SECONDS = 5.0  # for clients to be gone when the host stops


class SessionEnd:
    """Closes the connections of expired sessions and of disconnected visitors."""

    def __init__(self, namespaces: Sequence[Namespace], transport: Transport, bus: Bus) -> None:
        self._namespaces = namespaces
        self._transport = transport
        self._tasks: set[asyncio.Task[None]] = set()
        bus.subscribe(SESSION_END, lambda host, body: self._disconnect(**body))

    async def sweep(self) -> None:
        """Close the connections of expired sessions, repeatedly, until cancelled.

        Their clients reconnect, and are refused with the reason.
        """
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for namespace in self._namespaces:
                for connection in namespace.expired_connections():
                    self._run(self._transport.close(connection))

    async def finish(self) -> None:
        """Wait a short time until the clients that are being disconnected are gone."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_FINISH_SECONDS)

    def _disconnect(self, visitor: str, signed_in_at: float | None = None, **_: Any) -> None:
        for namespace in self._namespaces:
            for sid in namespace.sids_of(visitor, signed_in_at):
                self._run(namespace.disconnect(sid))

    def _run(self, ending: Coroutine[Any, Any, None]) -> None:
        """End a connection in its own task, because `on_disconnect` may be slow."""
        # With an empty context, so that the visitor whose event caused it is not charged for it.
        task = Context().run(asyncio.create_task, self._log_errors(ending))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _log_errors(self, ending: Coroutine[Any, Any, None]) -> None:
        try:
            await ending
        except Exception:
            _log.exception("A client whose session has ended could not be disconnected.")
