"""The timeout queue, when `expire` raises."""

import asyncio
from typing import Any

from socket_host.transport.timeout_queue import TimeoutQueue
from tests.kit.waiting import until


async def test_error_of_one_item_leaves_the_others() -> None:
    """An error from one item is reported, and the others expire in their turn."""
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: reported.append(said))
    expired: list[int] = []

    def expire(item: int) -> None:
        if item == 1:
            raise ValueError
        expired.append(item)

    queue: TimeoutQueue[int] = TimeoutQueue(0.01, expire)
    for item in range(4):
        queue.set(item)
    await until(lambda: len(expired) == 3)
    assert expired == [0, 2, 3]
    assert [type(said["exception"]) for said in reported] == [ValueError]
