"""The tasks that handle packets, kept until they are done."""

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
        # Named, because generating a name takes time.
        task = asyncio.get_running_loop().create_task(self._kept(work), name="client")
        self._tasks.add(task)
        return task

    async def finish(self, seconds: float) -> None:
        """Wait up to `seconds` for all tasks, including those that start meanwhile."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while tasks := [task for task in self._tasks if task]:
            if loop.time() > end:
                _log.error("The host stops with %d handlers still running.", len(tasks))
                break
            await asyncio.wait(tasks, timeout=1)

    async def _kept(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        finally:
            self._tasks.discard(asyncio.current_task())
