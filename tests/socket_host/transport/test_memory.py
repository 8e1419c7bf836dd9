"""Memory: closed connections leave nothing behind, not even for the garbage collector."""

import asyncio
import gc
from collections.abc import Iterator

import pytest

from socket_host.app import SocketHost
from socket_host.transport.native.client import Client
from socket_host.transport.native.rooms import Member
from socket_host.transport.native.websocket import WebSocket
from tests.kit.protocol_client import CLOSE, PATIENCE, frame, handshake, http_client, raw
from tests.kit.protocol_server import protocol_server

OURS = (Client, Member, WebSocket)


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    """Disable the garbage collector, so that memory is freed without it."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def left() -> list[object]:
    """Objects of connections that still exist."""
    return [thing for thing in gc.get_objects() if isinstance(thing, OURS)]


async def gone(host: SocketHost) -> None:
    """Wait until the host has forgotten all clients, then let it finish."""
    async with asyncio.timeout(PATIENCE):
        while left():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    assert not host.sio.environ
    assert not host.sio.manager.rooms


ENDINGS = {
    "close frame": frame(b"\x03\xe8", CLOSE),
    "close packet": frame(b"1"),
    "leaves its namespace": frame(b"41") + frame(b"1"),
    "broken frame": frame(b"x", mask=False),
    "wrong packet": frame(b"nonsense"),
    "hangs up": b"",
    "half a message": frame(b"4" * 500)[:100],
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_websockets_leave_nothing(ending: str) -> None:
    """However a websocket ends, its memory is freed at once."""
    async with protocol_server() as host:
        for _ in range(20):
            async with raw(host.port) as ws:
                ws.send(handshake() + frame(b"40") + frame(b'421["echo",1]'))
                await ws.head()
                while (await ws.frame())[1] != b"431[1]":
                    pass
                ws.send(ENDINGS[ending])
                await ws.writer.drain()
        await gone(host)


async def test_upgraded_clients_leave_nothing() -> None:
    """Polling, probing and upgrading leave nothing either."""
    async with protocol_server() as host, http_client(host.port) as http:
        for _ in range(5):
            poller = await http.open()
            await poller.join()
            async with http.websocket(sid=poller.sid) as ws:
                await ws.send("2probe", "5", '421["echo",1]')
                assert await ws.receive() == "3probe"
                assert await ws.receive() == "431[1]"
        await gone(host)


async def test_refused_handshakes_leave_nothing() -> None:
    """A refusal does not keep its connection."""
    async with protocol_server() as host:
        for _ in range(20):
            async with raw(host.port) as ws:
                ws.send(handshake("EIO=3&transport=websocket"))
                await ws.rest()
        await gone(host)


async def test_parsed_headers_are_not_kept() -> None:
    """Headers that are no longer used are kept as bytes, not as a dictionary."""
    async with protocol_server() as host, http_client(host.port) as http, http.joined():
        (client,) = host.sio.eio.engine.clients.values()
        assert client.environ["HTTP_HOST"]
        client.environ.compact()
        assert not dict.__len__(client.environ)
