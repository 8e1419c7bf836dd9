"""Clients that flood, and reconnect at once whenever they are closed.

`python -m tests.hostile.flooders PORT HOW_MANY SECONDS HEX` sends the bytes in HEX repeatedly, from
sockets that have joined. It prints how often they were closed.
"""

import asyncio
import contextlib
import sys

from tests.hostile.attack import websocket

_CHUNK = 1 << 16


async def flood(port: int, name: str, data: bytes) -> None:
    """Send until the host hangs up."""
    async with websocket(port, name) as eve:
        reading = asyncio.ensure_future(eve.reader.read(-1))
        try:
            while not reading.done():
                eve.send(data)
                await eve.writer.drain()
                await asyncio.sleep(0)
        finally:
            reading.cancel()


async def main(port: int, many: int, seconds: float, data: bytes) -> None:
    """Flood for some seconds."""
    data *= max(1, _CHUNK // len(data))
    closed = 0

    async def again_and_again(number: int) -> None:
        nonlocal closed
        while True:
            with contextlib.suppress(OSError, AssertionError, EOFError, TimeoutError):
                await flood(port, f"Eve {number}", data)
            closed += 1
            await asyncio.sleep(0.01)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*map(again_and_again, range(many)))
    print(closed, flush=True)


if __name__ == "__main__":
    port, many, seconds, data = sys.argv[1:]
    asyncio.run(main(int(port), int(many), float(seconds), bytes.fromhex(data)))
