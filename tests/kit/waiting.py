"""How tests wait: with a deadline."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.kit.hosts import PATIENCE


async def until(condition: Callable[[], Any]) -> Any:
    """Wait until a condition is true, and return what it returned.

    Raises TimeoutError after PATIENCE seconds.
    """
    async with asyncio.timeout(PATIENCE):
        while not (value := condition()):  # noqa: ASYNC110 - nothing signals it
            await asyncio.sleep(0.005)
    return value
