"""The part of a Socket.IO server that the load generator needs."""

import asyncio
from collections.abc import Awaitable, Callable

Writer = asyncio.StreamWriter


Tell = Callable[[Writer, list[bytes]], Awaitable[None]]  # sends messages to one client


def frame(payload: bytes, first: int = 0x81) -> bytes:
    """Return an unmasked frame; `first` is its first byte, a whole text message by default."""
    return bytes([first, len(payload)]) + payload


class TinyServer:
    """The part of a Socket.IO server that the load generator needs, with its own way of sending."""

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self.writers: list[Writer] = []
        self.errors: list[BaseException] = []

    async def serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        """Talk to one client until it disconnects."""
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
        """Accept a client, or send its message to everybody: three at once for a burst."""
        if message == b"40":
            self.writers.append(writer)
            writer.write(frame(b'40{"sid":"b"}'))
        elif message.startswith(b"42["):
            text = message.split(b'"')[3]
            times = 3 if b"burst" in message else 1
            for each in self.writers:
                await self.tell(each, [b'42["said","%b"]' % text] * times)


async def read(reader: asyncio.StreamReader) -> bytes | None:
    """Return a client's next message, or None when it disconnects."""
    first, second = await reader.readexactly(2)
    mask = await reader.readexactly(4)
    payload = await reader.readexactly(second & 0x7F)
    return None if first == 0x88 else bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
