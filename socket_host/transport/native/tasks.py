"""The tasks that a client's packets have begun, kept until they are done."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

_log = logging.getLogger(__name__)


class Tasks:
    """Runs tasks, and waits for them when the host stops."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any] | None] = set()

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` as a task that is kept until it is done."""
        # With a name, so that the task need not make one up.
        task = asyncio.get_running_loop().create_task(self._kept(work), name="client")
        self._tasks.add(task)
        return task

    async def finish(self, seconds: float) -> None:
        """Wait for all tasks, those included that begin meanwhile, but not for ever."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while tasks := [task for task in self._tasks if task]:
            if loop.time() > end:
                _log.error("%d handlers of clients did not end before the host did", len(tasks))
                break
            await asyncio.wait(tasks, timeout=1)

    async def _kept(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        finally:
            self._tasks.discard(asyncio.current_task())
