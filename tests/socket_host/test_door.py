"""`python -m socket_host`: checks settings, stops on a signal, and loses nothing."""

import asyncio
import signal
import socket
from pathlib import Path

import aiohttp
import pytest

from tests.kit.clients import clients
from tests.kit.hosts import PATIENCE, environ, host_process, token


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_stops_on_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    """SIGTERM and Ctrl-C disconnect the clients and end the host with status 0 and no output."""
    settings = environ(tmp_path, DRAIN_SECONDS="0.3")
    async with host_process(settings) as host, clients() as people:
        await host.ready()
        ann = await people.connect(host.url, token("Ann"), client={"reconnection": False})
        host.process.send_signal(number)
        await ann.receive("disconnect")
        assert await host.ended() == (0, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_told_while_it_starts(number: signal.Signals, tmp_path: Path) -> None:
    """A host that is told to end before it has started does not start, and ends with status 0."""
    async with host_process(environ(tmp_path, BUS="redis://127.0.0.1:1")) as host:
        assert host.process.stderr
        async with asyncio.timeout(PATIENCE):
            assert b"do not arrive" in await host.process.stderr.readline()
            host.process.send_signal(number)  # while it waits for its bus
            stdout, stderr = await host.process.communicate()
    assert (host.process.returncode, stdout, stderr) == (0, b"", b"")


async def test_second_signal_hurries(tmp_path: Path) -> None:
    """A first signal drains the host slowly; a second one disconnects all clients at once."""
    settings = environ(tmp_path, DRAIN_SECONDS="600", MAX_PER_VISITOR="0")
    many = aiohttp.TCPConnector(limit=0)
    async with host_process(settings) as host, aiohttp.ClientSession(connector=many) as http:
        await host.ready()
        address = f"{host.url}/socket.io/?EIO=4&transport=websocket"
        # So many that a slow drain would exceed the timeout of `ended`.
        sockets = [await joined(http, address) for _ in range(150)]
        host.process.terminate()
        ends = [asyncio.create_task(until_closed(socket)) for socket in sockets]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        async with http.get(f"{host.url}/health") as health:
            assert (await health.json())["connections"] > 100
        host.process.terminate()
        assert (await host.ended())[0] == 0
        await asyncio.gather(*ends)


async def joined(http: aiohttp.ClientSession, address: str) -> aiohttp.ClientWebSocketResponse:
    """Open a websocket and join."""
    websocket = await http.ws_connect(address)
    await websocket.send_str(f'40{{"session":"{token()}"}}')
    while not (await websocket.receive_str()).startswith("40"):
        pass
    return websocket


async def until_closed(websocket: aiohttp.ClientWebSocketResponse) -> None:
    """Read a websocket to its end."""
    async for _ in websocket:
        pass


async def test_killed_host_loses_nothing(tmp_path: Path) -> None:
    """Messages acked before kill -9 are stored, and a repeated one is not stored twice."""
    async with clients() as people:
        async with host_process(environ(tmp_path)) as host:
            await host.ready()
            ann = await people.connect(host.url, token("Ann"), client={"reconnection": False})
            acks = [await ann.call("message", {"id": str(n), "text": "x"}) for n in range(5)]
            host.process.kill()
            assert (await host.ended())[0] == -signal.SIGKILL
        async with host_process(environ(tmp_path)) as host:
            await host.ready()
            ann = await people.connect(host.url, token("Ann"), client={"reconnection": False})
            assert await ann.call("message", {"id": "4", "text": "x"}) == acks[4]
            history = await ann.call("missed", {"after": 0})
            assert [m["seq"] for m in history["messages"]] == [1, 2, 3, 4, 5]


async def test_taken_port(tmp_path: Path) -> None:
    """A port in use stops the start with one sentence, before anything runs."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        async with host_process(environ(tmp_path, PORT=port)) as host:
            status, stderr = await host.ended()
    assert status == 1
    assert f"Port {port} on 127.0.0.1 is taken by another program." in stderr
    assert len(stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240 - nothing else runs here


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"SESSION_SECRET": "", "PORT": "x"}, ["SESSION_SECRET must", "PORT must"]),
        ({"POSTS": "papyrus"}, ["POSTS must be the path of a file, not 'papyrus'."]),
        ({"POSTS": "/dev/null/posts"}, ["/dev/null/posts cannot be opened"]),
        ({"BIND": "192.0.2.1"}, ["Cannot listen on 192.0.2.1", "BIND"]),
        ({"BIND": "no.such.host.invalid"}, ["Cannot listen on no.such.host.invalid"]),
    ],
    ids=["settings", "setting", "file", "address", "name"],
)
async def test_cannot_start(changes: dict[str, str], words: list[str], tmp_path: Path) -> None:
    """An error at the start is one line without a traceback, with exit status 1."""
    async with host_process(environ(tmp_path, **changes)) as host:
        status, stderr = await host.ended()
    assert status == 1
    assert len(stderr.splitlines()) == 1
    for word in words:
        assert word in stderr
