"""An event loop with a clock that a test advances."""

import asyncio
import heapq
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_MOST_TURNS = 20_000  # in one step; more means that it never ends


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still until it is advanced."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.errors: list[str] = []
        self._due: list[float] = []
        self._called = False
        super().__init__()
        self.set_exception_handler(self._note)

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.errors.append(f"{context['message']}: {context.get('exception')!r}")

    def time(self) -> float:
        return self.now

    def call_soon(self, *args: Any, **options: Any) -> asyncio.Handle:
        self._called = True
        return super().call_soon(*args, **options)

    def call_at(self, when: float, *args: Any, **options: Any) -> asyncio.TimerHandle:
        heapq.heappush(self._due, when)
        return super().call_at(when, *args, **options)

    def settle(self) -> None:
        """Run until there is nothing to do at this moment."""
        for _ in range(_MOST_TURNS):
            self._called = False
            super().call_soon(self.stop)
            self.run_forever()
            if not self._called:
                return
        raise AssertionError("the loop is never idle")

    def move(self, seconds: float) -> None:
        """Advance the clock, and run everything that is due by then."""
        end = self.now + seconds
        while self._due and self._due[0] <= end:
            self.now = max(self.now, heapq.heappop(self._due))
            self.settle()
        self.now = end
        self.settle()

    def run(self, work: Coroutine[Any, Any, T], patience: float = 60.0) -> T:
        """Run work to its end, advancing the clock while it waits."""
        task = self.create_task(work)
        self.settle()
        while not task.done() and patience > 0:
            self.move(0.05)
            patience -= 0.05
        assert task.done(), f"it never ends: {task}"
        return task.result()
