"""Turns: clients that send many packets take turns, so that nobody waits long for the others."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextvars import Context

from socket_host.transport.limits import PACKETS_A_TURN

_MOST = 1_000  # packets of all clients together, in one iteration of the event loop
_PACKET = 512  # bytes that count as one packet more
_FEW = 10  # packets of a client in its turn, while many others wait for theirs
_MANY = 10  # clients

_log = logging.getLogger(__name__)


class Turns:
    """The clients that wait for their turn, and what may be handled in this iteration of the loop.

    A client that sends one packet at a time need not wait for a turn.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], object]] = deque()
        self._left = _MOST  # packets that may be handled in this iteration
        self._running = False

    def packets(self) -> int:
        """Return how many packets of a client may be handled now; if none, it has to wait."""
        if self._running:
            return PACKETS_A_TURN if len(self._waiting) < _MANY else _FEW
        return 0 if self._waiting or self._left <= 0 else PACKETS_A_TURN

    def spend(self, packets: int, size: int) -> None:
        """Count packets that were handled, and their bytes."""
        if self._left == _MOST and not self._running:
            _soon(self._reset)
        self._left -= packets + size // _PACKET

    def wait(self, call: Callable[[], object]) -> None:
        """Call something in a later iteration, when the clients before have had their turn.

        Handlers that have been started by then run before.
        """
        if not (self._waiting or self._running):
            _soon(self._run)
        self._waiting.append(call)

    async def run(self, call: Callable[[], bool]) -> None:
        """Call something until it returns True, each time in its turn."""
        if call():
            return
        done = asyncio.get_running_loop().create_future()

        def again() -> None:
            try:
                if done.done():  # cancelled
                    return
                if call():
                    done.set_result(None)
                else:
                    self.wait(again)
            except Exception as error:
                done.set_exception(error)

        self.wait(again)
        await done

    def _reset(self) -> None:
        self._left = _MOST

    def _run(self) -> None:
        self._left, self._running = _MOST, True
        for _ in range(len(self._waiting)):
            call = self._waiting.popleft()
            try:
                call()
            except Exception:  # must not end the turns of the others
                _log.exception("A client's packets could not be handled.")
            if self._left <= 0:
                break
        self._running = False
        _soon(self._run if self._waiting else self._reset)


def _soon(call: Callable[[], None]) -> None:
    # With an empty context, because what follows is not caused by the current event.
    asyncio.get_running_loop().call_soon(call, context=Context())
