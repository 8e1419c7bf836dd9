"""A socket ends with its session."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMessageTypeError

from functions.contract.session import MAX_AGE, SessionError, Sessions
from tests.hostile.tokens import aged, knock
from tests.hostile.victim import Victim, victim
from tests.kit.clients import clients, raw_client
from tests.kit.hosts import PATIENCE, SECRET, on_each_transport, token
from tests.kit.protocol_client import Socket, http_client

pytestmark = pytest.mark.together("waiting")

SHORT = 6.0  # seconds that a session is valid: on a busy machine, connecting takes some
PINGS = {"PING_INTERVAL": "0.4", "PING_TIMEOUT": "5"}
EXPIRED = "Your session has expired. Reload the page to go on."


async def join(socket: Socket, session: str) -> None:
    """Connect with a token on a new websocket."""
    await socket.receive()
    await socket.send("40" + json.dumps({"session": session}))
    assert str(await socket.receive_message()).startswith("40")


@on_each_transport
async def test_clients_end_with_their_session(transport: str, tmp_path: Path) -> None:
    """A client is disconnected once its session has expired, even if it keeps sending pongs."""
    async with victim(tmp_path, TRANSPORT=transport, **PINGS) as host, asyncio.timeout(PATIENCE):
        short = aged(MAX_AGE - SHORT)
        ends = (websocket_ends(host, short, pong), websocket_ends(host, short, pong_early))
        await asyncio.gather(*ends, polling_ends(host, short))
        refusal = {"message": EXPIRED, "data": {"code": "session"}}
        assert await knock(host, short) == refusal


async def websocket_ends(
    host: Victim, short: str, pong: Callable[[Socket], Awaitable[None]]
) -> None:
    """Connect by websocket, and answer pings until the host hangs up; fail if it is too early."""
    async with http_client(host.port) as http, http.websocket() as socket:
        await join(socket, short)
        await pong(socket)
    expired(short)


async def polling_ends(host: Victim, short: str) -> None:
    """Connect by polling, and answer pings until the host hangs up; fail if it is too early."""
    async with http_client(host.port) as http:
        client = await http.open()
        await client.post("40" + json.dumps({"session": short}))
        while (await client.get())[0] == 200:
            await client.post("3")
    expired(short)


def expired(short: str) -> None:
    """Fail unless a session has expired."""
    with pytest.raises(SessionError, match="expired"):
        Sessions(SECRET).verify(short)


async def pong(socket: Socket) -> None:
    """Answer pings until the host hangs up."""
    while await socket.receive_message() is not None:
        pass


async def pong_early(socket: Socket) -> None:
    """Keep sending pongs without pings until the host hangs up."""
    closed = asyncio.create_task(socket.closed())
    while not closed.done():
        with contextlib.suppress(ConnectionError):
            await socket.send("3")
        await asyncio.wait([closed], timeout=0.1)
    await closed


@on_each_transport
async def test_expired_client_does_nothing(transport: str, tmp_path: Path) -> None:
    """Events are refused as soon as the session has expired, before the next ping."""
    async with victim(tmp_path, TRANSPORT=transport) as host:
        short = aged(MAX_AGE - SHORT)
        async with raw_client(host.url, short) as ann, asyncio.timeout(PATIENCE):
            assert await ann.ask('["busy",true]') == {}
            answer: Any = {}
            # The host may hang up first.
            with contextlib.suppress(WSMessageTypeError, ConnectionError):
                while answer == {}:
                    await asyncio.sleep(0.1)
                    answer = await ann.ask('["busy",true]')
            assert answer in ({}, {"error": EXPIRED, "retry": True})
    expired(short)


@on_each_transport
async def test_expired_client_gets_the_reason(transport: str, tmp_path: Path) -> None:
    """The official client reconnects, and gets the error that asks it to reload."""
    async with victim(tmp_path, TRANSPORT=transport, **PINGS) as host:
        await asyncio.gather(reconnect(host, "polling"), reconnect(host, "websocket"))


async def reconnect(host: Victim, way: str) -> None:
    async with clients("javascript", way) as people:
        await people.connect(host.url, token("Bob"))  # so that Node runs before the time starts
        ann = await people.connect(host.url, aged(MAX_AGE - SHORT))
        # The client also reconnects if a request after the end gets an error.
        assert await ann.receive("disconnect") in ("transport close", "transport error")
        error = await ann.receive("connect_error")
        assert (error["message"], error["data"]) == (EXPIRED, {"code": "session"})
