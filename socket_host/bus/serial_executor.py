"""Runs blocking calls off the event loop, one after another."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class SerialExecutor:
    """One thread that makes calls in order.

    Unlike a ThreadPoolExecutor's, it does not keep the process alive while a call blocks, which may
    be for many seconds.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    async def __call__(self, call: Callable[[], T]) -> T:
        """Return what a call returns, or raise what it raises."""
        future: Future[T] = Future()
        self._calls.put((future, call))
        return await asyncio.wrap_future(future)

    def stop(self) -> None:
        """End the thread after the pending calls."""
        self._calls.put(None)

    def _work(self) -> None:
        while job := self._calls.get():
            future, call = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                answer = call()
            except BaseException as error:  # passed to the caller
                future.set_exception(error)
            else:
                future.set_result(answer)
