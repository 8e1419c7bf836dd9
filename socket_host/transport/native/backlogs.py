"""Backlogs: which clients have much unread data, and whether they are reading it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from socket_host.transport.limits import Limits
from socket_host.transport.timeout_queue import TimeoutQueue


class Reader(Protocol):
    """A client with unread data."""

    @property
    def waiting(self) -> int:
        """How many bytes of it there are."""

    @property
    def is_fetching(self) -> bool:
        """Whether the client is reading the response to a poll."""

    def __hash__(self) -> int: ...


R = TypeVar("R", bound=Reader)


class _Backlog:
    """One client's backlog, in bytes: `start` when it fell behind, and `added` since then."""

    __slots__ = ("added", "held", "read", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.added = 0
        self.held = 0  # the unread part of `added`
        self.read = 0  # as of the last check


class Backlogs(Generic[R]):
    """The clients that have more than `limits.backlog` bytes to read.

    The size of a backlog alone does not make a client slow: a large event may have just been sent.
    A client is given up if it reads nothing for `limits.stall_time`. In addition, what is sent to
    all clients with a backlog may not exceed `limits.unread` bytes; beyond that, the client that
    has been behind longest is given up.
    """

    def __init__(self, limits: Limits, give_up: Callable[[R, str], object]) -> None:
        self._limits = limits
        self._give_up = give_up
        self._behind: dict[R, _Backlog] = {}
        self._held = 0  # bytes, of all backlogs
        self._timeouts: TimeoutQueue[R] = TimeoutQueue(limits.stall_time, self._check)

    def __contains__(self, client: object) -> bool:
        return client in self._behind

    def __len__(self) -> int:
        """Return how many clients are behind."""
        return len(self._behind)

    def add(self, client: R, size: int) -> None:
        """Note that a client with a backlog is about to be sent another `size` bytes."""
        waiting = client.waiting
        backlog = self._behind.get(client)
        if backlog is None:
            backlog = self._behind[client] = _Backlog(waiting)
            self._timeouts.set(client)
        backlog.added += size
        held = min(backlog.added, waiting + size)
        self._held += held - backlog.held
        backlog.held = held
        while self._held > self._limits.unread:
            oldest = next(iter(self._behind))
            self.forget(oldest)
            self._give_up(oldest, "all clients together had too much unread data")

    def forget(self, client: R) -> None:
        """Note that a client has read most of its backlog, or has gone."""
        backlog = self._behind.pop(client, None)
        if backlog is not None:
            self._held -= backlog.held
            self._timeouts.drop(client)

    def clear(self) -> None:
        """Forget all clients."""
        self._behind.clear()
        self._timeouts.clear()
        self._held = 0

    def _check(self, client: R) -> None:
        """Give a client up if it has read nothing since the last check."""
        backlog, waiting = self._behind[client], client.waiting
        read = backlog.start + backlog.added - waiting
        if waiting <= self._limits.backlog:
            self.forget(client)
        elif read > backlog.read or client.is_fetching:
            backlog.read = read
            self._timeouts.set(client)
        else:
            self.forget(client)
            self._give_up(client, f"it read nothing of {waiting} bytes")
