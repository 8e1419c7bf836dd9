"""Events of which only the latest value matters, such as who is typing."""

import asyncio
from collections.abc import Callable, Hashable
from contextvars import Context
from typing import Generic, TypeVar

PAUSE = 0.15  # seconds between two values of one key

T = TypeVar("T")


class Latest(Generic[T]):
    """Sends the first value of a key at once, then the latest one every PAUSE seconds.

    The last value is always sent. `wait(value)` returns for how many more seconds to delay it.
    """

    def __init__(self, send: Callable[[T], object], wait: Callable[[T], float]) -> None:
        self._send = send
        self._wait = wait
        self._values: dict[Hashable, T] = {}  # waiting for the end of their pause
        self._pauses: dict[Hashable, asyncio.TimerHandle] = {}

    def put(self, key: Hashable, value: T) -> None:
        """Send `value` now, or later unless a newer one replaces it."""
        if key in self._pauses:
            self._values[key] = value
            return
        wait = self._wait(value)
        if wait > 0:
            self._values[key] = value
        # With an empty context, because later values are not caused by this event.
        self._pauses[key] = asyncio.get_running_loop().call_later(
            max(wait, PAUSE), self._resume, key, context=Context()
        )
        if wait <= 0:
            self._send(value)

    def flush(self) -> None:
        """Send all waiting values at once."""
        for pause in self._pauses.values():
            pause.cancel()
        self._pauses.clear()
        values, self._values = self._values, {}
        for value in values.values():
            self._send(value)

    def _resume(self, key: Hashable) -> None:
        del self._pauses[key]
        if key in self._values:
            self.put(key, self._values.pop(key))
