"""Slow readers: clients that have been behind for a while, and what waits for all of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from socket_host.transport.limits import UNREAD, Limits
from socket_host.transport.native.backlogs import Reader
from socket_host.transport.native.budget import Budget
from socket_host.transport.timeout_queue import TimeoutQueue

R = TypeVar("R", bound=Reader)


class SlowReaders(Generic[R]):
    """The clients that have had more than UNREAD bytes to read for `limits.stall_time`, or longer.

    They may be slow. But all of them together may have no more than `limits.unread` bytes to read;
    beyond that, the one that has been behind longest is given up.
    """

    def __init__(self, limits: Limits, give_up: Callable[[R, str], object]) -> None:
        self._give_up = give_up
        self._unread = Budget(limits.unread)  # as of the last checks
        self._timeouts: TimeoutQueue[R] = TimeoutQueue(limits.stall_time, self._check)

    def watch(self, client: R) -> None:
        """Note that a client has more than UNREAD bytes to read."""
        if client not in self._timeouts:
            self._timeouts.set(client)

    def forget(self, client: R) -> None:
        """Note that a client has read most of it, or has gone."""
        self._timeouts.drop(client)
        self._unread.release(client)

    def clear(self) -> None:
        """Forget all clients."""
        self._timeouts.clear()
        self._unread.clear()

    def _check(self, client: R) -> None:
        size = client.waiting
        if size <= UNREAD:
            self.forget(client)
            return
        self._timeouts.set(client)
        self._unread.hold(client, size, partial(self._evict, client))

    def _evict(self, client: R) -> None:
        self.forget(client)
        self._give_up(client, "all slow clients together had too much unread data")
