"""python-socketio on aiohttp, as it comes: the server this host is built from."""

import asyncio

import socketio  # type: ignore[import-untyped]  # python-socketio ships no types
from aiohttp import web


class Events(socketio.AsyncNamespace):  # type: ignore[misc]  # as above
    """The events the load generator knows."""

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
    # Four times aiohttp's default: Node's backlog is 511 too.
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=511)
    await site.start()
    print(f"listening on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
