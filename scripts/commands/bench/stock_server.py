"""python-socketio on aiohttp with default settings, on which this host is based."""

import asyncio

import socketio  # type: ignore[import-untyped]  # python-socketio ships no types
from aiohttp import web


class Events(socketio.AsyncNamespace):  # type: ignore[misc]  # as above
    """The load generator's events."""

    async def on_echo(self, sid: str, text: str) -> str:
        return text

    async def on_say(self, sid: str, text: str) -> None:
        await self.emit("said", text)

    async def on_burst(self, sid: str, text: str, times: int) -> None:
        for number in range(times):
            await self.emit("said", (text, number))


async def main() -> None:
    sio = socketio.AsyncServer(async_mode="aiohttp")
    sio.register_namespace(Events("/"))
    app = web.Application()
    sio.attach(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    # Node's default; aiohttp's is 128.
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=511)
    await site.start()
    print(f"listening on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
