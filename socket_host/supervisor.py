"""The supervisor: runs a namespace's tasks, and restarts those that fail."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from functions.contract.setting import StartError

_log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before a failed task is restarted

_STOP_SECONDS = 10.0  # for cancelled tasks to end

_HEALTHY_SECONDS = 60.0  # after which a failed task is restarted with the first pause

Work = Callable[[], Coroutine[Any, Any, object]]


class Supervisor:
    """Tasks by name, each restarted when it fails, until all are stopped."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, int] = {}  # since the start, by the name of the task
        self._waiting: set[str] = set()  # names of tasks that are waiting for a restart

    def start(self, work: Work, name: str) -> None:
        """Run `work` until it returns; raises StartError if a task with that name runs."""
        if name in self._tasks and not self._tasks[name].done():
            raise StartError(f"A task named {name!r} is running already. Give each its own name.")
        self._failures[name] = 0
        # With an empty context, so that what it sends is not charged to a visitor.
        self._tasks[name] = Context().run(asyncio.create_task, self._run(work, name), name=name)

    async def stop(self) -> None:
        """Cancel all tasks, and wait until they have ended, but not for long."""
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        if tasks:
            done, pending = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
            await asyncio.gather(*done, return_exceptions=True)
            for task in pending:
                _log.error("The task %s does not end, although it is cancelled.", task.get_name())

    def health(self) -> dict[str, dict[str, Any]]:
        """Return each task's status (running, waiting for a restart, done) and failure count."""
        return {
            name: {"status": self._status(name, task), "deaths": self._failures[name]}
            for name, task in self._tasks.items()
        }

    def _status(self, name: str, task: asyncio.Task[None]) -> str:
        if task.done():
            return "done"
        return "waiting" if name in self._waiting else "running"

    async def _run(self, work: Work, name: str) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        pause = FIRST_PAUSE
        while True:
            begun = loop.time()
            try:
                await work()
            except (Exception, asyncio.CancelledError):
                if task.cancelling():  # by `stop`; otherwise it awaited something cancelled
                    raise
                self._failures[name] += 1
                if loop.time() - begun > _HEALTHY_SECONDS:
                    pause = FIRST_PAUSE
                _log.exception("The task %s failed. It restarts in %g s.", name, pause)
            else:
                return
            self._waiting.add(name)
            await asyncio.sleep(pause)
            self._waiting.discard(name)
            pause = min(2 * pause, LONGEST_PAUSE)
