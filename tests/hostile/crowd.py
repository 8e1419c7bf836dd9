"""Many clients in one process, so cheap that measurements show the host."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.kit.hosts import PATIENCE, token
from tests.kit.protocol_client import frame, handshake

_WELCOME = re.compile(rb'40\{"sid":"[^"]+"(?:,"pid":"([^"]+)")?\}')
_PING, _PONG = b"\x81\x012", frame(b"3")


class Member(asyncio.Protocol):
    """A websocket client that counts what it receives, or keeps it."""

    def __init__(self) -> None:
        self.got = 0
        self.text = bytearray()
        self.keeps = True
        self.lost = asyncio.Event()
        self._changed = asyncio.Event()
        self._numbers = 0
        self.pid = ""  # the private id with which it can resume

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        self._changed.set()

    def data_received(self, data: bytes) -> None:
        self.got += len(data)
        if data.startswith(_PING):
            self.transport.write(_PONG)
        if self.keeps:
            self.text += data
            self._changed.set()

    def send(self, *packets: str) -> None:
        """Send packets together."""
        self.transport.write(b"".join(frame(packet.encode()) for packet in packets))

    async def receive(self, what: bytes) -> None:
        """Wait until the received data contains `what`, and discard all of it."""
        async with asyncio.timeout(PATIENCE):
            while what not in self.text:
                await self._change()
        self.text.clear()

    async def ask(self, event: str, *values: Any) -> Any:
        """Send an event; return the first value of its ack."""
        self._numbers += 1
        head = b"43%d[" % self._numbers
        self.send(f"42{self._numbers}" + json.dumps([event, *values]))
        async with asyncio.timeout(PATIENCE):
            while True:
                at = self.text.find(head)
                if at >= 0:
                    try:
                        text = self.text[at + len(head) :].decode(errors="ignore")
                        answer, _ = json.JSONDecoder().raw_decode(text)
                    except ValueError:
                        pass  # the rest will follow
                    else:
                        self.text.clear()
                        return answer
                await self._change()

    async def receive_offset(self, what: bytes) -> str:
        """Wait for an event with `what` in it; return its offset."""
        async with asyncio.timeout(PATIENCE):
            while not (found := re.search(what + rb'.*?"([\w-]+\.\d+)"\]', bytes(self.text))):
                await self._change()
        self.text.clear()
        return found[1].decode()

    async def join(self, connect: dict[str, Any], room: str | None) -> str:
        """Connect, and join a room; return the private id with which this client can resume."""
        self.transport.write(handshake())
        await self.receive(b"0{")
        self.send("40" + json.dumps(connect))
        async with asyncio.timeout(PATIENCE):
            while not (
                found := re.search(rb'40\{"sid":"[^"]+"(?:,"pid":"([^"]+)")?\}', bytes(self.text))
            ):
                await self._change()
        if room is not None:
            assert "error" not in await self.ask("enter", {"room": room})
        return (found[1] or b"").decode()

    async def _change(self) -> None:
        assert not self.lost.is_set(), bytes(self.text[-200:])
        self._changed.clear()
        await self._changed.wait()

    def count(self) -> None:
        """Only count received data from now on."""
        self.keeps = False
        self.text.clear()

    def stop_reading(self) -> None:
        self.transport.pause_reading()


@asynccontextmanager
async def member(
    port: int, name: str, room: str | None = None, **auth: Any
) -> AsyncIterator[Member]:
    """A client in a room, or in the plaza."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(Member, "127.0.0.1", port)
    try:
        client.pid = await client.join({"session": token(name)} | auth, room)
        yield client
    finally:
        client.transport.abort()


@asynccontextmanager
async def audience(port: int, size: int, room: str | None = None) -> AsyncIterator[list[Member]]:
    """This many members of a room, each a different visitor, that count what they receive."""
    loop = asyncio.get_running_loop()
    members: list[Member] = []
    try:
        for number in range(size):
            _, client = await loop.create_connection(Member, "127.0.0.1", port)
            members.append(client)
            await client.join({"session": token(f"Guest {number}")}, room)
            client.count()
        yield members
    finally:
        for client in members:
            client.transport.abort()


async def flood(
    client: Member, packet: Callable[[int], str], per_second: int, seconds: float
) -> None:
    """Send packets at a rate for some time."""
    loop = asyncio.get_running_loop()
    start, sent = loop.time(), 0
    while (now := loop.time() - start) < seconds:
        due = int(now * per_second) + 1
        if due > sent:
            client.send(*map(packet, range(sent, due)))
            sent = due
        await asyncio.sleep(0.02)
