"""Raw HTTP requests, and their responses."""

import asyncio
import json

from tests.hostile.victim import Victim
from tests.kit.hosts import PATIENCE, token
from tests.kit.protocol_client import Raw, raw

MICROSECOND = 1e-6
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
OPEN = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n"
NOWHERE = b"POST /nowhere HTTP/1.1\r\nHost: x\r\n"


async def answer(client: Raw) -> tuple[int, str, str]:
    """Read a response; return its status, head and body."""
    head = await client.head()
    lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
    async with asyncio.timeout(PATIENCE):
        body = await client.reader.readexactly(int(lines.get("content-length", 0)))
    return int(head.split()[1]), head, body.decode()


async def session(client: Raw) -> str:
    """Open a session by polling; return its id."""
    client.send(OPEN)
    sid: str = json.loads((await answer(client))[2][1:])["sid"]
    return sid


def poll(sid: str) -> bytes:
    """A GET of a session."""
    query = f"EIO=4&transport=polling&sid={sid}"
    return f"GET /socket.io/?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def post(sid: str, *headers: str) -> bytes:
    """The head of a POST to a session."""
    first = f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1"
    return "\r\n".join([first, "Host: x", *headers, "", ""]).encode()


async def joined(client: Raw) -> str:
    """Open a session by polling, and join; return its id."""
    sid = await session(client)
    packet = f'40{{"session":"{token("Ann")}"}}'.encode()
    client.send(post(sid, f"Content-Length: {len(packet)}") + packet)
    assert (await answer(client))[0] == 200
    return sid


async def flood(client: Raw, data: bytes, size: int) -> int:
    """Send data repeatedly, up to a size or until the host hangs up; return the bytes sent."""
    sent = 0
    try:
        async with asyncio.timeout(PATIENCE):
            while sent < size:
                client.send(data)
                await client.writer.drain()
                sent += len(data)
    except (ConnectionError, TimeoutError):
        pass
    return sent


async def cost_of(host: Victim, data: bytes, times: int) -> float:
    """Send data on this many new connections; return the processor seconds of each."""
    before = host.cpu()
    for _ in range(times):
        async with raw(host.port) as client:
            client.send(data)
            await client.rest()
    return (host.cpu() - before) / times
