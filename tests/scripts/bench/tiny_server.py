"""As much of a Socket.IO server as the load generator needs."""

import asyncio
from collections.abc import Awaitable, Callable

Writer = asyncio.StreamWriter


Tell = Callable[[Writer, list[bytes]], Awaitable[None]]  # writes messages to one client


def frame(payload: bytes, first: int = 0x81) -> bytes:
    """Return an unmasked frame; `first` is its first byte, a whole text message by default."""
    return bytes([first, len(payload)]) + payload


class TinyServer:
    """As much of a Socket.IO server as the load generator needs, telling in its own way."""

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self.writers: list[Writer] = []
        self.errors: list[BaseException] = []

    async def serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        """Talk to one client until it goes."""
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Extensions: ")
            writer.write(b"permessage-deflate; server_no_context_takeover\r\n\r\n")
            writer.write(frame(b'0{"sid":"a"}'))
            while (message := await read(reader)) is not None:
                await self.answer(writer, message)
        finally:
            writer.close()

    async def answer(self, writer: Writer, message: bytes) -> None:
        """Let a client in, or tell everybody what it says: three things at once for a burst."""
        if message == b"40":
            self.writers.append(writer)
            writer.write(frame(b'40{"sid":"b"}'))
        elif message.startswith(b"42["):
            text = message.split(b'"')[3]
            times = 3 if b"burst" in message else 1
            for each in self.writers:
                await self.tell(each, [b'42["said","%b"]' % text] * times)


async def read(reader: asyncio.StreamReader) -> bytes | None:
    """Return what a client says next, or None when it says goodbye."""
    first, second = await reader.readexactly(2)
    mask = await reader.readexactly(4)
    payload = await reader.readexactly(second & 0x7F)
    return None if first == 0x88 else bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
