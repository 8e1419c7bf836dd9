"""Slots: the open sessions, counted by address, and a deadline for joining a namespace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from socket_host.transport.timeout_queue import TimeoutQueue

T = TypeVar("T", bound=Hashable)

_SHARE = 0.2  # of the deadline; nearly all clients join within it


class Slots(Generic[T]):
    """The open sessions of a host, and those that have yet to join a namespace.

    A session that has not joined within `seconds` of its handshake is passed to `expire`. One that
    leaves its last namespace has to join again, within what is left of a budget of `seconds`, which
    refills while the session is joined. So no session lasts longer by joining and leaving in turn.
    """

    def __init__(
        self, seconds: float, expire: Callable[[T], object], address: Callable[[T], bytes]
    ) -> None:
        self._seconds = seconds
        self._expire = expire
        self._address = address
        self._waits: TimeoutQueue[T] = TimeoutQueue(seconds, self._waited)
        # For sessions that have left a namespace: the seconds left to join, and as of which time.
        self._budgets: dict[T, tuple[float, float]] = {}
        self._open: dict[bytes, int] = {}
        self._waiting: dict[bytes, int] = {}

    @property
    def waiting(self) -> int:
        """How many sessions have not joined."""
        return len(self._waits)

    def of(self, address: bytes) -> tuple[int, int]:
        """Return how many sessions an address has, and how many of them have not joined."""
        return self._open.get(address, 0), self._waiting.get(address, 0)

    def make_room(self) -> bool:
        """Expire the session that has waited longest if it is unusually late; return whether so."""
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
        """Count a new session, and start its deadline for joining."""
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
        """Note that a session has left its last namespace."""
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
        """Cancel a session's deadline; return whether it had one."""
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
        """Cancel all deadlines."""
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
