"""The transport on uvloop, as `python -m socket_host` runs it."""

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

from tests.kit.hosts import ROOT
from tests.kit.protocol_client import PATIENCE, SEPARATOR, Http, frame, http_client, raw


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The port of a protocol server in its own process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.kit.protocol_server", "--port", "0",
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    try:
        async with asyncio.timeout(PATIENCE):
            line = (await process.stdout.readline()).decode()
        yield int(line.rpartition(":")[2])
    finally:
        process.kill()
        await process.communicate()


async def test_websocket_and_polling_and_upgrade(port: int) -> None:
    """Clients of all transports receive each other's events."""
    async with http_client(port) as http, http.joined() as ws:
        poller = await http.open()
        await poller.join()
        await ws.send('421["draft","a"]')
        assert await ws.receive() == "431[]"
        assert await poller.get() == (200, '42["drafted","a"]')
        async with http.websocket(sid=poller.sid) as upgraded:
            await upgraded.send("2probe", "5", '42["draft","b"]')
            assert await upgraded.receive() == "3probe"
            assert await ws.receive() == '42["drafted","b"]'


async def test_large_messages_arrive(port: int) -> None:
    """A message larger than all buffers arrives complete, several times."""
    async with http_client(port) as http, http.joined() as ws:
        text = "x" * 900_000
        for _ in range(3):
            await ws.send(f'421["echo","{text}"]')
            assert await ws.receive_message() == f'431["{text}"]'


async def test_broken_frames_close(port: int) -> None:
    """A client that breaks the protocol gets a close code before the server hangs up."""
    async with raw(port) as ws:
        await ws.upgrade()
        ws.send(frame(b"4x", mask=False))
        assert await ws.close_code() == 1002
        assert await ws.rest() == b""


async def test_second_request_on_a_connection_may_upgrade(port: int) -> None:
    """A connection that aiohttp has served can become a websocket."""
    async with http_client(port) as http:
        await polled(http)


async def polled(http: Http) -> None:
    """Poll, then upgrade on a connection that the client has kept."""
    poller = await http.open()
    assert (await poller.post("40"))[1] == "ok"
    received = (await poller.get())[1].split(SEPARATOR)
    async with http.websocket(sid=poller.sid) as ws:
        await ws.send("2probe", "5", '421["echo",1]')
        while "431[1]" not in received:
            received.append(await ws.receive())
