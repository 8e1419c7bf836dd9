"""Turns: clients that send many packets take turns, so that nobody waits long for the others."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextvars import Context
from time import perf_counter

from socket_host.transport.limits import PACKETS_A_TURN

_SECONDS = 0.01  # for the packets of all clients together, in one iteration of the event loop
_FEW = 10  # packets of a client in its turn, while many others wait for theirs
_MANY = 10  # clients

_log = logging.getLogger(__name__)


class Turns:
    """The clients that wait for their turn, and the time left in this iteration of the event loop.

    A client that sends one packet at a time need not wait for a turn.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], object]] = deque()
        self._end = 0.0  # when the time of this iteration is over; 0 if none of it has been used
        self._running = False

    def packets(self) -> int:
        """Return how many packets of a client may be handled now; if none, it has to wait."""
        if self._running:
            return PACKETS_A_TURN if len(self._waiting) < _MANY else _FEW
        if not self._end:
            self._end = perf_counter() + _SECONDS
            _soon(self._reset)
        elif self._waiting or perf_counter() > self._end:
            return 0
        return PACKETS_A_TURN

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
        self._end = 0.0

    def _run(self) -> None:
        self._end = perf_counter() + _SECONDS
        self._running = True
        for _ in range(len(self._waiting)):
            call = self._waiting.popleft()
            try:
                call()
            except Exception:  # must not end the turns of the others
                _log.exception("A client's packets could not be handled.")
            if perf_counter() > self._end:
                break
        self._running = False
        if self._waiting:
            _soon(self._run)
        else:
            self._end = 0.0


def _soon(call: Callable[[], None]) -> None:
    # With an empty context, because what follows is not caused by the current event.
    asyncio.get_running_loop().call_soon(call, context=Context())
