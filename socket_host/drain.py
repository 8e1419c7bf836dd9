"""The drain: disconnects clients a few at a time, so that they do not all reconnect at once."""

import asyncio
import contextlib
import math
import random
from collections.abc import Awaitable, Callable, Collection

_SLICE = 0.25  # seconds between two slices, plus or minus half

# Seconds for the last clients to read what was sent to them, and to close.
GOODBYE_SECONDS = 2.0


async def release(
    connections: Callable[[], Collection[str]],
    close: Callable[[str], Awaitable[None]],
    seconds: float,
    hurry: asyncio.Event,
) -> None:
    """Close all connections within `seconds`, or at once when `hurry` is set.

    Returns early once no client is connected; after a grace period, ignores clients that do not
    close.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    closing: set[str] = set()
    while waiting := [c for c in connections() if c not in closing]:
        slices = 1 if hurry.is_set() else max(1, round((end - loop.time()) / _SLICE))
        for connection in random.sample(waiting, math.ceil(len(waiting) / slices)):
            closing.add(connection)
            await close(connection)
        if slices > 1:
            await _sleep(_SLICE * random.uniform(0.5, 1.5), hurry)
    goodbye = loop.time() + GOODBYE_SECONDS
    while connections() and loop.time() < goodbye:  # noqa: ASYNC110 - no event signals the last
        await asyncio.sleep(0.01)


async def _sleep(seconds: float, hurry: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(hurry.wait(), seconds)
