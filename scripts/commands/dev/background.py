"""Work that nobody waits for: what ends it is told on the terminal, and never swallowed."""

import asyncio
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

from scripts.terminal import say

PAUSE = 1.0  # seconds before work that has failed is begun again


def begin(what: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Start a task. If it fails, the terminal shows what it was meant to do, and why it could not.

    The caller keeps the task, or Python may forget it.
    """
    task = asyncio.create_task(work)
    task.add_done_callback(lambda ended: _tell(what, ended))
    return task


async def keep(what: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do work that has no end; after a failure tell why, and begin again."""
    while True:
        try:
            await work()
        except Exception as error:
            tell(what, error)
        await asyncio.sleep(PAUSE)


def tell(what: str, error: BaseException) -> None:
    """Show on the terminal what has failed, and where."""
    say(f"{what} failed. This is a fault of scripts/dev:")
    say("".join(traceback.format_exception(error)).rstrip())


def _tell(what: str, ended: asyncio.Task[None]) -> None:
    if not ended.cancelled() and (error := ended.exception()):
        tell(what, error)
