"""The drain: clients are disconnected so that they reconnect to another host by themselves."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from socket_host import drain
from tests.kit.clients import WAYS, clients
from tests.kit.hosts import ORIGIN, PATIENCE, on_each_transport, serving, token, url

CASES = [(kind, way) for kind in ("python", "javascript") for way in WAYS]


@on_each_transport
@pytest.mark.parametrize(("kind", "way"), CASES)
async def test_clients_find_the_next_host(
    kind: str, way: str, transport: str, tmp_path: Path
) -> None:
    """A drained client reconnects by itself to the next host, and misses nothing."""
    async with clients(kind, way) as people:
        options = {"client": {"reconnection_delay": 0.05}} if kind == "python" else {}
        async with serving(tmp_path, transport=transport, drain_seconds=0.2) as host:
            ann = await people.connect(url(host), token("Ann"), **options)
            assert (await ann.call("message", {"id": "1", "text": "before"}))["seq"] == 1
            await host.drain()
            reason = await ann.receive("disconnect")
            assert reason not in ("io server disconnect", "server disconnect")
            assert not host.transport.connections()
        async with serving(tmp_path, transport=transport, port=host.port):
            await ann.receive("connect")
            missed = await ann.call("missed", {"after": 0})
            assert [m["text"] for m in missed["messages"]] == ["before"]
            assert (await ann.call("message", {"id": "2", "text": "after"}))["seq"] == 2


@on_each_transport
async def test_draining_host_accepts_no_clients(transport: str, tmp_path: Path) -> None:
    """A draining host fails its health check and refuses new clients with a reason."""
    async with (
        serving(tmp_path, transport=transport, drain_seconds=60) as host,
        clients() as people,
    ):
        for name in ("Ann", "Bob", "Cat"):
            await people.connect(url(host), token(name), client={"reconnection": False})
        draining = asyncio.create_task(host.drain())
        async with aiohttp.ClientSession() as http:
            async with http.get(f"{url(host)}/health") as answer:
                assert answer.status == 503
                assert (await answer.json())["status"] == "draining"
            async with http.get(f"{url(host)}/socket.io/?EIO=4&transport=polling") as answer:
                assert answer.status == 503
                assert "connect again" in await answer.text()
        assert not draining.done()
        host.hurry()
        async with asyncio.timeout(PATIENCE):
            await draining


async def test_clients_go_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each slice of a drain closes an equal share of the clients; `hurry` closes all the rest."""
    monkeypatch.setattr(drain, "_SLICE", 3_600)
    connected = {str(number) for number in range(1_000)}
    hurry = asyncio.Event()

    async def close(connection: str) -> None:
        connected.remove(connection)

    draining = asyncio.create_task(drain.release(lambda: connected, close, 36_000, hurry))
    await asyncio.sleep(0)
    assert len(connected) == 900
    hurry.set()
    async with asyncio.timeout(PATIENCE):
        await draining
    assert not connected


@on_each_transport
async def test_drain_ends_when_nobody_is_left(transport: str, tmp_path: Path) -> None:
    """A drain ends early when the last client disconnects."""
    async with (
        serving(tmp_path, transport=transport, drain_seconds=600) as host,
        clients() as people,
    ):
        ann = await people.connect(url(host), token("Ann"), client={"reconnection": False})
        draining = asyncio.create_task(host.drain())
        await asyncio.sleep(0)
        await ann.close()
        async with asyncio.timeout(PATIENCE):
            await draining


@on_each_transport
async def test_message_under_way_is_kept(transport: str, tmp_path: Path) -> None:
    """A message and a draft that arrived just before the stop are stored."""
    async with clients() as people:
        async with serving(tmp_path, transport=transport) as host:
            ann = await people.connect(url(host), token("Ann"), client={"reconnection": False})
            await ann.emit("draft", "half a")
            await ann.call("draft", "half a sentence")
            await ann.emit("message", {"id": "1", "text": "last words"})
            bob = await people.connect(url(host), token("Bob"), client={"reconnection": False})
            await bob.call("busy", True)
        async with serving(tmp_path, transport=transport) as host:
            cat = await people.connect(url(host), token("Cat"))
            plaza = await cat.call("enter", {"room": "plaza"})
            assert [m["text"] for m in plaza["messages"]] == ["last words"]
            assert plaza["text"] == "half a sentence"


@on_each_transport
async def test_health_counts(transport: str, tmp_path: Path) -> None:
    """/health has the number of clients and counts of refusals."""
    async with (
        serving(tmp_path, transport=transport) as host,
        clients() as people,
        aiohttp.ClientSession() as http,
    ):
        ann = await people.connect(url(host), token("Ann"))
        await ann.call("busy", "very much")
        stranger = {"Origin": "https://elsewhere.test"}
        async with http.get(f"{url(host)}/socket.io/?EIO=4", headers=stranger) as answer:
            assert answer.status == 403
        async with http.get(f"{url(host)}/health", headers={"Origin": ORIGIN}) as answer:
            assert answer.status == 200
            assert await answer.json() == {
                "status": "ok",
                "connections": 1,
                "refused": {"origin": 1, "shape": 1},
                "closed": {"refused requests": 1} if transport == "fast" else {},
                "bus": {"status": "ok"},
                "namespaces": {
                    "/": {
                        "clients": 1,
                        "refused": {"shape": 1},
                        "tasks": {"resync": {"status": "running", "deaths": 0}},
                    },
                    "/hall": {"clients": 0, "refused": {}},
                },
            }
