"""The worker threads of `asyncio.to_thread`, and how to wait for those at work.

A thread cannot be cancelled: it continues even if the task that awaits it is cancelled. Nothing
that it uses, such as an SQLite connection, may be closed before it has finished.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE = 10.0  # seconds, the longest that `finished` waits


class _Threads(ThreadPoolExecutor):
    """A thread pool that knows which calls have not returned."""

    def __init__(self) -> None:
        super().__init__(thread_name_prefix="asyncio")
        self.at_work: set[Future[Any]] = set()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future = super().submit(fn, *args, **kwargs)
        self.at_work.add(future)
        future.add_done_callback(self.at_work.discard)
        return future


_of: WeakKeyDictionary[asyncio.AbstractEventLoop, _Threads] = WeakKeyDictionary()


def install() -> None:
    """Make the running event loop use threads that `finished` can wait for."""
    loop = asyncio.get_running_loop()
    if loop not in _of:
        _of[loop] = _Threads()
        loop.set_default_executor(_of[loop])


async def finished() -> None:
    """Wait until the calls running in threads have returned, for at most PATIENCE."""
    threads = _of.get(asyncio.get_running_loop())
    if threads and (calls := [asyncio.wrap_future(call) for call in threads.at_work.copy()]):
        await asyncio.wait(calls, timeout=PATIENCE)
        for call in calls:
            call.cancel()  # to wait no longer
            if call.done() and not call.cancelled():
                call.exception()  # retrieved here, because the awaiting task was cancelled
