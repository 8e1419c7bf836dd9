"""Guests: raw clients that drop and reconnect, and a host for them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

import aiohttp
import pytest

from functions.contract.bus import LOOPBACK_PATH, encode_emit, loopback_token
from socket_host.app import SocketHost
from tests.hostile.victim import Victim
from tests.kit.hosts import SECRET, token
from tests.kit.protocol_client import PATIENCE, SEPARATOR, frame, raw

MB = 1024 * 1024


on_both = pytest.mark.parametrize("way", ["websocket", "polling"])


class Guest:
    """A client that a test disconnects and reconnects; it answers pings and records events."""

    def __init__(self, port: int, way: str, auth: dict[str, Any]) -> None:
        self.port = port
        self.auth = auth
        self.pid: str | None = None
        self.offset: str | None = None
        self.sid = ""
        self.recovered = False
        self.received: list[Any] = []  # first values of events
        self._way = _Websocket if way == "websocket" else _Poll
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self.come()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.drop()

    async def come(self, **claim: Any) -> None:
        """Connect, with the pid and offset of a former connection, if any."""
        self._line = await self._stack.enter_async_context(self._way.open(self.port))
        if self.pid:
            offset = {} if self.offset is None else {"offset": self.offset}
            claim = {"pid": self.pid} | offset | claim
        await self.send("40" + json.dumps(self.auth | claim))
        while not (packet := await self.packet()).startswith("40"):
            assert not packet.startswith("44"), packet
        welcome = json.loads(packet[2:])
        self.recovered = welcome["pid"] == self.pid
        self.pid, self.sid = welcome["pid"], welcome["sid"]

    async def drop(self) -> None:
        await self._stack.aclose()

    async def send(self, packet: str) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._line.send(packet)

    async def packet(self) -> str:
        """Read the next packet, ping or not; raise ConnectionError at the end."""
        async with asyncio.timeout(PATIENCE):
            packet = await self._line.packet()
        if packet.startswith("42["):
            _, *values = json.loads(packet[2:])
            self.received.append(values[0])
            self.offset = values[-1]
        return packet

    async def receive(self, last: Any) -> None:
        """Read, and answer pings, until a value has been received."""
        while last not in self.received[-1:]:
            if await self.packet() == "2":
                await self.send("3")

    async def pong(self) -> None:
        """Read up to the next ping, and answer it."""
        while await self.packet() != "2":
            pass
        await self.send("3")


class _Websocket:
    def __init__(self, line: Any) -> None:
        self._line = line

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int) -> AsyncIterator[Self]:
        async with raw(port) as line:
            await line.upgrade()
            yield cls(line)

    async def send(self, packet: str) -> None:
        self._line.send(frame(packet.encode()))

    async def packet(self) -> str:
        try:
            opcode, payload = await self._line.frame()
        except asyncio.IncompleteReadError:
            raise ConnectionError from None
        if opcode == 8:
            raise ConnectionError
        return str(payload, "utf-8")


class _Poll:
    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url
        self._packets: list[str] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int) -> AsyncIterator[Self]:
        url = f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling"
        async with aiohttp.ClientSession(headers={"Accept-Encoding": "identity"}) as http:
            async with http.get(url) as answer:
                sid = json.loads((await answer.text())[1:])["sid"]
            line = cls(http, f"{url}&sid={sid}")
            yield line
            await line.send("1")

    async def send(self, packet: str) -> None:
        async with self._http.post(self._url, data=packet):
            pass

    async def packet(self) -> str:
        while not self._packets:
            async with self._http.get(self._url) as answer:
                if answer.status != 200:
                    raise ConnectionError
                self._packets = (await answer.text()).split(SEPARATOR)
        return self._packets.pop(0)


def guest(host: SocketHost | Victim, way: str = "websocket", name: str = "Ann") -> Guest:
    return Guest(host.port, way, {"session": token(name)})


@asynccontextmanager
async def in_garden(host: SocketHost, way: str = "websocket") -> AsyncIterator[Guest]:
    """A guest in the room `garden` of a host with Rooms."""
    async with guest(host, way) as ann:
        await ann.send('421["enter","garden"]')
        while await ann.packet() != "431[]":
            pass
        yield ann


async def tell(host: Victim, texts: list[str]) -> None:
    """Emit texts to everybody in the plaza, as a function does."""
    headers = {"Authorization": f"Bearer {loopback_token(SECRET)}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        for number, text in enumerate(texts):
            body = encode_emit("said", text, room="plaza", sender=f"function{id(texts)}-{number}")
            async with http.post(host.url + LOOPBACK_PATH, data=body) as answer:
                assert answer.status < 300, await answer.text()


def gone(host: SocketHost) -> Callable[[], bool]:
    return lambda: not host.transport.connections()
