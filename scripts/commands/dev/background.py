"""Background work: errors are printed on the terminal, and never swallowed."""

import asyncio
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

from scripts.terminal import say

PAUSE = 1.0  # seconds before failed work is restarted


def begin(what: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Start a task. If it fails, print what it was meant to do, and why it failed.

    The caller must keep a reference to the task.
    """
    task = asyncio.create_task(work)
    task.add_done_callback(lambda ended: _tell(what, ended))
    return task


async def keep(what: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run endless work; after a failure, print why, and restart it."""
    while True:
        try:
            await work()
        except Exception as error:
            tell(what, error)
        await asyncio.sleep(PAUSE)


def tell(what: str, error: BaseException) -> None:
    """Print what has failed, and where."""
    say(f"{what} failed. This is a fault of scripts/dev:")
    say("".join(traceback.format_exception(error)).rstrip())


def _tell(what: str, ended: asyncio.Task[None]) -> None:
    if not ended.cancelled() and (error := ended.exception()):
        tell(what, error)
