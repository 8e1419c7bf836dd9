"""The load generator counts every message."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from scripts.commands.bench.load import Conditions, Load, LoadError
from scripts.commands.bench.servers import SERVERS
from tests.scripts.bench.tiny_server import Tell, TinyServer, Writer, frame


async def joined(writer: Writer, messages: list[bytes]) -> None:
    """Send all messages in one piece."""
    writer.write(b"".join(map(frame, messages)))


async def split(writer: Writer, messages: list[bytes]) -> None:
    """Send every byte in a segment of its own."""
    for byte in b"".join(map(frame, messages)):
        writer.write(bytes([byte]))
        await asyncio.sleep(0)


async def fragmented(writer: Writer, messages: list[bytes]) -> None:
    """Send each message as three frames, with a ping between them."""
    for message in messages:
        parts = frame(message[:5], 0x01), frame(b"", 0x89), frame(message[5:9], 0x00)
        writer.write(b"".join(parts) + frame(message[9:], 0x80))


async def compressed(writer: Writer, messages: list[bytes]) -> None:
    """Send each message compressed on its own."""
    for message in messages:
        deflate = zlib.compressobj(wbits=-15)
        data = deflate.compress(message) + deflate.flush(zlib.Z_SYNC_FLUSH)
        writer.write(frame(data.removesuffix(b"\0\0\xff\xff"), 0xC1))


async def doubled(writer: Writer, messages: list[bytes]) -> None:
    """Send each message twice."""
    await joined(writer, [*messages, *messages])


async def first_only(writer: Writer, messages: list[bytes]) -> None:
    """Lose all messages but the first."""
    await joined(writer, messages[:1])


async def none(writer: Writer, messages: list[bytes]) -> None:
    """Lose all messages."""


@asynccontextmanager
async def load(tell: Tell, folder: Path) -> AsyncIterator[Callable[[str], Awaitable[Any]]]:
    """Run a load generator against a tiny server, and return what sends its commands."""
    server = await asyncio.start_server(TinyServer(tell).serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    generator = Load.start(SERVERS["node"], port, folder, Conditions(spin=False, silence=0.2))
    try:
        yield lambda command: asyncio.to_thread(generator.tell, command)
    finally:
        generator.stop()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("tell", [joined, split, fragmented, compressed])
async def test_the_load_generator_counts_every_message(tell: Tell, folder: Path) -> None:
    """Every message counts once, however it was fragmented, compressed, joined or split."""
    async with load(tell, folder) as command:
        await command("open 4 2 websocket")
        reply = await command("broadcast 0.02 burst 3")
        assert reply["rounds"] > 0
        assert reply["deliveries"] == reply["rounds"] * 3 * 4
        assert (reply["lost"], reply["strays"]) == (0, 0)
        await command("close 4 4")


async def test_the_load_generator_notices_a_doubled_message(folder: Path) -> None:
    """A message that arrives twice counts as a stray."""
    async with load(doubled, folder) as command:
        await command("open 4 4 websocket")
        reply = await command("broadcast 0.02 say 1")
        assert reply["deliveries"] == reply["rounds"] * 4
        assert reply["strays"] + (await command("wait 0.05"))["strays"] > 0
        await command("close 4 4")


async def test_the_load_generator_notices_a_lost_message(folder: Path) -> None:
    """A message that never arrives ends the measurement and counts as lost."""
    async with load(first_only, folder) as command:
        await command("open 4 4 websocket")
        reply = await command("broadcast 5 burst 3")
        assert (reply["rounds"], reply["deliveries"], reply["lost"]) == (1, 4, 8)
        await command("close 4 4")


@pytest.mark.parametrize(
    ("tell", "lost", "strays"), [(joined, 0, 0), (doubled, 0, 8), (none, 8, 0)]
)
async def test_every_message_at_a_fixed_rate_is_followed(
    tell: Tell, lost: int, strays: int, folder: Path
) -> None:
    """Each delivery has a latency; lost and duplicated ones are noticed."""
    async with load(tell, folder) as command:
        await command("open 4 4 websocket")
        await command("speakers 1")
        reply = await command("told 0.02 100")
        assert (reply["rounds"], reply["lost"]) == (2, lost)
        assert reply["strays"] + (await command("wait 0.05"))["strays"] >= strays
        assert (reply["p99_us"] > 0) is (lost == 0)
        await command("close 4 4")


async def test_a_refused_client_is_not_overlooked(folder: Path) -> None:
    """A measurement ends with a message if the server refuses a client."""

    async def refuse(reader: asyncio.StreamReader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    generator = Load.start(SERVERS["node"], port, folder, Conditions(spin=False))
    try:
        with pytest.raises(LoadError, match="2 clients could not connect"):
            await asyncio.to_thread(generator.tell, "open 2 2 websocket")
    finally:
        generator.stop()
        server.close()
        await server.wait_closed()
