"""This host, as `python -m socket_host` runs it, with the load generator's events."""

import argparse
import asyncio
import os

from scripts.commands.bench.guard import ORIGIN, SECRET
from socket_host.__main__ import new_loop
from socket_host.app import create_app
from socket_host.namespace import Namespace
from socket_host.settings import Settings


class Events(Namespace):
    """The load generator's events."""

    async def on_echo(self, sid: str, text: str) -> str:
        return text

    async def on_say(self, sid: str, text: str) -> None:
        await self.emit("said", text)

    async def on_burst(self, sid: str, text: str, times: int) -> None:
        for number in range(times):
            await self.emit("said", (text, number))


def settings(transport: str, *, guarded: bool) -> Settings:
    """Return a host's settings, with all checks and limits on or all off.

    The limit per address is always off, because all clients have the same address.
    """
    if guarded:
        return Settings(
            session_secret=SECRET,
            origins=(ORIGIN,),
            port=0,
            transport=transport,
            max_per_address=0,
        )
    return Settings(
        session_secret=None,
        origins=None,
        bus=os.environ.get("BUS", "local"),
        port=0,
        transport=transport,
        recovery_seconds=0,
        max_per_address=0,
        max_per_visitor=0,
        events_per_second=1e9,
        event_burst=10**9,
        fanout_bytes_per_second=1e12,
        room_bytes_per_second=1e12,
    )


async def main(transport: str, *, guarded: bool) -> None:
    """Serve until killed."""
    host = create_app(settings(transport, guarded=guarded), [Events])
    await host.start()
    print(f"listening on http://127.0.0.1:{host.port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("transport")
    parser.add_argument("--guarded", action="store_true")
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main(options.transport, guarded=options.guarded))
