"""The timeout queue: many timeouts of the same length, on one timer."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

_COALESCE = 0.05  # seconds by which a long timeout may be late, so that thousands fire together
_LONG = 5.0  # seconds; shorter timeouts are not made late


class TimeoutQueue(Generic[T]):
    """Calls `expire(item)` `seconds` after `set(item)`, unless it was dropped or set again.

    All timeouts are equally long, so items expire in the order in which they were set: setting and
    dropping cost the same for ten items and for ten thousand.
    """

    def __init__(self, seconds: float, expire: Callable[[T], None]) -> None:
        self._seconds = seconds
        self._expire = expire
        self._due: OrderedDict[T, float] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        # Kept because `get_running_loop` makes a system call on Python 3.11.
        self._loop: asyncio.AbstractEventLoop | None = None
        self.due = 0.0  # when the item that is expiring was due, on the loop's clock
        self._slack = _COALESCE if seconds >= _LONG else 0.0

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, item: object) -> bool:
        return item in self._due

    def set(self, item: T, since: float | None = None) -> None:
        """Start the timeout of `item`, from now or from the recent loop time `since`."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        if item in self._due:
            self._due.move_to_end(item)
        self._due[item] = (since or loop.time()) + self._seconds
        if self._timer is None:
            self._wait(loop)

    def drop(self, item: T) -> bool:
        """Remove `item`; return whether it was there."""
        return self._due.pop(item, None) is not None

    def passed(self, item: T) -> bool:
        """Return whether `item` is due, even if the timer has not fired yet."""
        return self._due.get(item, math.inf) <= asyncio.get_running_loop().time()

    def first(self) -> tuple[T, float] | None:
        """Return the item that expires next, and when; None if there is none."""
        return next(iter(self._due.items()), None)

    def clear(self) -> list[T]:
        """Remove all items and stop the timer; return the items."""
        items = list(self._due)
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return items

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        first = next(iter(self._due.values()))
        self._timer = loop.call_at(max(first, loop.time() + self._slack), self._fire)

    def _fire(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        try:
            while self._due:
                item, due = next(iter(self._due.items()))
                if due > loop.time():
                    break
                del self._due[item]
                self.due = due
                self._expire(item)
        finally:  # even if `expire` raises for one item, the others expire
            if self._due and self._timer is None:
                self._wait(loop)
