"""Raw clients for protocol tests: they send exactly what the test says, valid or not."""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp

PATIENCE = 60  # seconds: a deadline that even a busy machine meets
SEPARATOR = "\x1e"
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


class Http:
    """Engine.IO requests to one host."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self.session = session
        self.base = f"http://127.0.0.1:{port}/socket.io/"

    async def ask(
        self, method: str = "GET", body: str | bytes | None = None, **query: Any
    ) -> tuple[int, str]:
        """Send a request; return the response's status and text."""
        headers = query.pop("headers", None)
        request = self.session.request(method, self.base, params=query, data=body, headers=headers)
        async with asyncio.timeout(PATIENCE), request as response:
            return response.status, await response.text()

    async def open(self) -> "Poller":
        """Open a session by polling."""
        status, text = await self.ask(EIO="4", transport="polling")
        assert status == 200, text
        return Poller(self, json.loads(text[1:])["sid"])

    @asynccontextmanager
    async def websocket(self, **query: Any) -> AsyncIterator["Socket"]:
        """Open a websocket; it is closed at the end."""
        query = {"EIO": "4", "transport": "websocket"} | query
        async with self.session.ws_connect(
            self.base, params=query, autoping=False, max_msg_size=0
        ) as ws:
            yield Socket(ws)

    @asynccontextmanager
    async def joined(self, connect: str = "40") -> AsyncIterator["Socket"]:
        """Open a websocket that has connected to a namespace."""
        async with self.websocket() as socket:
            await socket.receive()
            await socket.send(connect)
            await socket.receive()
            await socket.receive()  # `auth`
            yield socket


class Poller:
    """A polling session."""

    def __init__(self, http: Http, sid: str) -> None:
        self.http = http
        self.sid = sid

    async def get(self) -> tuple[int, str]:
        return await self.http.ask(EIO="4", transport="polling", sid=self.sid)

    async def post(self, *packets: str) -> tuple[int, str]:
        body = SEPARATOR.join(packets)
        return await self.http.ask("POST", body, EIO="4", transport="polling", sid=self.sid)

    async def join(self) -> None:
        assert await self.post("40") == (200, "ok")
        received: list[str] = []
        while len(received) < 2:  # the response to CONNECT, and `auth`
            received += (await self.get())[1].split(SEPARATOR)


class Socket:
    """A websocket whose messages are Engine.IO packets."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    async def send(self, *packets: str | bytes) -> None:
        for packet in packets:
            await (self.ws.send_str if isinstance(packet, str) else self.ws.send_bytes)(packet)

    async def receive(self) -> Any:
        """Return the next packet, or None if the socket is closed."""
        async with asyncio.timeout(PATIENCE):
            message = await self.ws.receive()
        return message.data if message.type.name in ("TEXT", "BINARY") else None

    async def receive_message(self) -> Any:
        """Return the next packet other than a ping."""
        while (packet := await self.receive()) == "2":
            await self.send("3")
        return packet

    async def closed(self) -> int | None:
        """Wait for the close; return its code."""
        while await self.receive() is not None:
            pass
        return self.ws.close_code


@asynccontextmanager
async def http_client(port: int) -> AsyncIterator[Http]:
    """A client for the host on a port."""
    async with aiohttp.ClientSession() as session:
        yield Http(session, port)


def frame(payload: bytes, opcode: int = TEXT, *, final: bool = True, mask: bool = True) -> bytes:
    """A client's frame."""
    size = len(payload)
    head = bytes([(0x80 if final else 0) | opcode])
    bit = 0x80 if mask else 0
    if size < 126:
        head += bytes([bit | size])
    elif size < 1 << 16:
        head += bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + size.to_bytes(8, "big")
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(b ^ key[i % 4] for i, b in enumerate(payload))


class Raw:
    """A TCP connection on which a test writes every byte itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> str:
        async with asyncio.timeout(PATIENCE):
            return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def frame(self) -> tuple[int, bytes]:
        """Read one frame from the server."""
        async with asyncio.timeout(PATIENCE):
            first, second = await self.reader.readexactly(2)
            assert not second & 0x80, "servers do not mask"
            size = second
            if second > 125:
                wide = 2 if second == 126 else 8
                size = int.from_bytes(await self.reader.readexactly(wide), "big")
            return first & 0x0F, await self.reader.readexactly(size)

    async def rest(self) -> bytes:
        """Read until the server closes or resets the connection."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def close_code(self) -> int:
        """Read up to the close frame; return its code."""
        while True:
            opcode, payload = await self.frame()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big")

    async def upgrade(self, query: str = "EIO=4&transport=websocket") -> Self:
        """Do the handshake, and read the open packet."""
        self.send(handshake(query))
        assert "101" in await self.head()
        assert (await self.frame())[1].startswith(b"0{")
        return self


def handshake(query: str = "EIO=4&transport=websocket", **changes: str | None) -> bytes:
    """A websocket handshake with some headers changed, or omitted if None."""
    headers = {
        "Host": "sidepath.test",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    } | {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([f"GET /socket.io/?{query} HTTP/1.1", *lines, "", ""]).encode()


@asynccontextmanager
async def raw(port: int) -> AsyncIterator[Raw]:
    """A TCP connection to the host on a port."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()
