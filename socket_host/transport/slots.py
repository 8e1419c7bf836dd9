"""Slots: who is connected, from where, and who has not joined a namespace in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from socket_host.transport.timeout_queue import TimeoutQueue

T = TypeVar("T", bound=Hashable)

_SHARE = 0.2  # of the wait, in which nearly everybody joins


class Slots(Generic[T]):
    """The sessions of a host, counted in all and by address, with those that wait to join.

    A session that waits longer than `seconds` is handed to `expire`. The wait begins at the
    handshake and ends when the session joins. One that leaves its last namespace waits again, out
    of a budget of as many seconds, which comes back while it is joined: to join and leave in turns
    does not prolong a stay.
    """

    def __init__(
        self, seconds: float, expire: Callable[[T], object], address: Callable[[T], bytes]
    ) -> None:
        self._seconds = seconds
        self._expire = expire
        self._address = address
        self._waits: TimeoutQueue[T] = TimeoutQueue(seconds, self._waited)
        # Of those that have left: the seconds they may still wait, as of a moment.
        self._budgets: dict[T, tuple[float, float]] = {}
        self._open: dict[bytes, int] = {}
        self._waiting: dict[bytes, int] = {}

    @property
    def waiting(self) -> int:
        """How many have not joined."""
        return len(self._waits)

    def of(self, address: bytes) -> tuple[int, int]:
        """Return how many sessions an address has, and how many of them have not joined."""
        return self._open.get(address, 0), self._waiting.get(address, 0)

    def make_room(self) -> bool:
        """Let the one go that has waited longest, if others would have joined by now."""
        first = self._waits.first()
        if first is None:
            return False
        session, due = first
        if due - asyncio.get_running_loop().time() > self._seconds * (1 - _SHARE):
            return False
        self.end_wait(session)
        self._expire(session)
        return True

    def open(self, session: T) -> None:
        """Count a new session, which is to join now."""
        address = self._address(session)
        self._open[address] = self._open.get(address, 0) + 1
        self._wait(session, None)

    def join(self, session: T) -> None:
        """Note that a session has joined."""
        if self.end_wait(session) and session in self._budgets:
            left, since = self._budgets[session]
            now = asyncio.get_running_loop().time()
            self._budgets[session] = left - (now - since), now

    def leave(self, session: T) -> None:
        """Note that a session is in no namespace any more."""
        if session in self._waits:
            return
        now = asyncio.get_running_loop().time()
        left, since = self._budgets.get(session, (self._seconds, now))
        left = min(left + now - since, self._seconds)
        self._budgets[session] = left, now
        if left > 0:
            self._wait(session, now + left - self._seconds)
        else:
            self._expire(session)

    def end_wait(self, session: T) -> bool:
        """Wait for a session no longer; tell if it was waited for."""
        if not self._waits.drop(session):
            return False
        _uncount(self._waiting, self._address(session))
        return True

    def close(self, session: T) -> None:
        """Forget a session."""
        self.end_wait(session)
        self._budgets.pop(session, None)
        _uncount(self._open, self._address(session))

    def stop(self) -> None:
        """Wait for nobody any more."""
        self._waits.clear()
        self._waiting.clear()

    def _wait(self, session: T, since: float | None) -> None:
        address = self._address(session)
        self._waiting[address] = self._waiting.get(address, 0) + 1
        self._waits.set(session, since)

    def _waited(self, session: T) -> None:
        _uncount(self._waiting, self._address(session))
        self._expire(session)


def _uncount(counts: dict[bytes, int], address: bytes) -> None:
    if counts[address] > 1:
        counts[address] -= 1
    else:
        del counts[address]
