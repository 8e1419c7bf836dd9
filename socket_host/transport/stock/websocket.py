"""The websocket: python-engineio's, charging each frame to the client."""

from typing import Any, Protocol

from aiohttp import WSMsgType, web
from engineio.async_drivers import aiohttp as aiohttp_driver  # type: ignore[import-untyped]

from socket_host.transport.native.head import TOKEN

_DATA = (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG)


class Charging(Protocol):
    """What a websocket needs from its server."""

    websockets: dict[str, "WebSocket"]

    async def charge(self, connection: str, packets: int, size: int) -> None:
        """Charge a client for what it sent."""


class WebSocket(aiohttp_driver.WebSocket):  # type: ignore[misc]  # python-engineio ships no types
    """python-engineio's websocket, charging each frame to the client."""

    def __init__(self, sio: Charging, handler: Any, server: Any) -> None:
        super().__init__(handler, server)
        self._sio = sio
        self._connection: str = handler.__self__.sid
        self._sent = 0  # messages
        handler.__self__.queue.websocket = self

    async def __call__(self, environ: dict[str, Any]) -> web.WebSocketResponse:
        """Serve the connection until it ends."""
        request = environ["aiohttp.request"]
        offered = request.headers.get("Sec-WebSocket-Protocol", "").partition(",")[0].strip()
        self._sock = web.WebSocketResponse(
            max_msg_size=self.server.max_http_buffer_size,
            autoping=False,
            protocols=[offered] if TOKEN.fullmatch(offered) else (),
            compress=False,  # a few bytes could be inflated to a whole payload
        )
        await self._sock.prepare(request)
        self.environ = environ
        self._sio.websockets[self._connection] = self
        try:
            await self.handler(self)
        finally:
            del self._sio.websockets[self._connection]
        return self._sock

    async def send(self, message: str | bytes) -> None:
        """Send a message; waits while the client does not read."""
        await super().send(message)
        self._sent += 1

    def progress(self) -> tuple[int, int]:
        """Return something that changes whenever the client reads."""
        transport = self.environ["aiohttp.request"].transport
        return self._sent, transport.get_write_buffer_size() if transport is not None else 0

    def abort(self) -> None:
        """Hang up at once."""
        transport = self.environ["aiohttp.request"].transport
        if transport is not None:
            transport.abort()

    async def wait(self) -> str | bytes:
        """Return the next message; raise OSError or SocketIsClosedError at the end."""
        while True:
            message = await self._sock.receive()
            if message.type not in _DATA:
                raise OSError
            await self._sio.charge(self._connection, 1, len(message.data))
            if message.type is WSMsgType.PING:
                await self._sock.pong(message.data)
            elif message.type is not WSMsgType.PONG:
                data: str | bytes = message.data
                return data
