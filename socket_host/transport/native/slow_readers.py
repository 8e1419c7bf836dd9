"""Slow readers: clients that have been behind for a while, and what waits for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from socket_host.transport.limits import UNREAD, Limits
from socket_host.transport.native.backlogs import Reader
from socket_host.transport.timeout_queue import TimeoutQueue

R = TypeVar("R", bound=Reader)


class SlowReaders(Generic[R]):
    """The clients that have had more than UNREAD bytes to read for `limits.stall_time`, or longer.

    They may be slow. But all of them together may have no more than `limits.unread` bytes to read;
    beyond that, the one that has been behind longest is given up.
    """

    def __init__(self, limits: Limits, give_up: Callable[[R, str], object]) -> None:
        self._limits = limits
        self._give_up = give_up
        self._sizes: dict[R, int] = {}  # bytes to read, as of the last check
        self._held = 0  # the sum of them
        self._timeouts: TimeoutQueue[R] = TimeoutQueue(limits.stall_time, self._check)

    def watch(self, client: R) -> None:
        """Note that a client has more than UNREAD bytes to read."""
        if client not in self._timeouts:
            self._timeouts.set(client)

    def forget(self, client: R) -> None:
        """Note that a client has read most of it, or has gone."""
        self._timeouts.drop(client)
        self._held -= self._sizes.pop(client, 0)

    def clear(self) -> None:
        """Forget all clients."""
        self._timeouts.clear()
        self._sizes.clear()
        self._held = 0

    def _check(self, client: R) -> None:
        size = client.waiting
        if size <= UNREAD:
            self.forget(client)
            return
        self._held += size - self._sizes.get(client, 0)
        self._sizes[client] = size
        self._timeouts.set(client)
        while self._held > self._limits.unread:
            oldest = next(iter(self._sizes))
            self.forget(oldest)
            self._give_up(oldest, "all slow clients together had too much unread data")
