"""Several namespaces on one host: each has its own events, and limits apply to all together."""

import asyncio
from itertools import product
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from socketio.exceptions import ConnectionError as Refused

from functions.contract.setting import StartError
from socket_host.app import create_app
from socket_host.namespace import Namespace
from tests.kit.clients import clients
from tests.kit.hosts import on_each_transport, serving, settings, token, url
from tests.kit.waiting import until


class Main(Namespace):
    """The main namespace."""

    def on_say(self, sid: str) -> str:
        return self.namespace

    async def on_shout(self, sid: str, size: int) -> str:
        await self.emit("shouted", "x" * size)
        return "heard"


class Other(Main):
    """Another one."""

    namespace = "/other"


BOTH: dict[str, Any] = {"namespaces": ["/", "/other"]}


async def call(client: Any, namespace: str, *values: Any) -> Any:
    """Send an event in a namespace; return its ack."""
    return await client.sio.call(*values, namespace=namespace)


@on_each_transport
async def test_unknown_namespace(transport: str, tmp_path: Path) -> None:
    """Clients can connect only to existing namespaces, even if the main one does not exist."""
    async with serving(tmp_path, Other, transport=transport) as host, clients() as people:
        for session, namespace in product((token("Ann"), None), ("/", "/none")):
            with pytest.raises(Refused):
                await people.begin(url(host), session, namespaces=[namespace])
        ann = await people.connect(url(host), token("Ann"), namespace="/other")
        assert await ann.call("say") == "/other"


@on_each_transport
async def test_client_has_one_allowance(transport: str, tmp_path: Path) -> None:
    """A client that sends in two namespaces may not send twice as much."""
    changes: dict[str, Any] = {"events_per_second": 0.1, "event_burst": 4}
    async with (
        serving(tmp_path, Main, Other, transport=transport, **changes) as host,
        clients() as people,
    ):
        ann = await people.connect(url(host), token("Ann"), **BOTH)
        for _ in range(2):
            assert await call(ann, "/", "say") == "/"
            assert await call(ann, "/other", "say") == "/other"
        assert "too fast" in (await call(ann, "/", "say"))["error"]
        assert "too fast" in (await call(ann, "/other", "say"))["error"]
        assert [each.refused["rate"] for each in host.namespaces] == [1, 1]


@on_each_transport
async def test_costs_are_shared(transport: str, tmp_path: Path) -> None:
    """A visitor's costs in one namespace count in the other."""
    async with (
        serving(tmp_path, Main, Other, transport=transport, fanout_bytes_per_second=10_000) as host,
        clients() as people,
    ):
        ann = await people.connect(url(host), token("Ann"), **BOTH)
        assert await call(ann, "/", "shout", 90_000) == "heard"
        assert "sent too much" in (await call(ann, "/other", "shout", 1))["error"]


@on_each_transport
async def test_connections_are_counted_once(transport: str, tmp_path: Path) -> None:
    """A connection in two namespaces counts once for the host and for the visitor."""
    changes: dict[str, Any] = {"max_connections": 2, "max_per_visitor": 1}
    async with (
        serving(tmp_path, Main, Other, transport=transport, **changes) as host,
        clients() as people,
    ):
        ann = await people.connect(url(host), token("Ann"), **BOTH)
        with pytest.raises(Exception, match="One or more namespaces failed"):
            await people.begin(url(host), token("Ann"), namespaces=["/other"])
        bob = await people.begin(url(host), token("Bob"), namespaces=["/other"])
        assert len(host.visitors.clients) == 2
        with pytest.raises(Exception, match="One or more namespaces failed"):
            await people.begin(url(host), token("Cid"))
        assert host.namespaces[1].refused["visitor"] == 1
        assert host.namespaces[0].refused["full"] == 1
        async with aiohttp.ClientSession() as http, http.get(f"{url(host)}/health") as answer:
            found = (await answer.json())["namespaces"]
        assert found["/"] == {"clients": 1, "refused": {"full": 1}}
        assert found["/other"] == {"clients": 2, "refused": {"visitor": 1}}
        await ann.close()
        await bob.close()
        await until(lambda: not host.visitors.clients)
        assert not host.visitors.visits


@on_each_transport
async def test_sessions_are_required_in_all(transport: str, tmp_path: Path) -> None:
    """Every namespace requires a session."""
    async with serving(tmp_path, Main, Other, transport=transport) as host, clients() as people:
        for namespace in ("/", "/other"):
            with pytest.raises(Exception, match="One or more namespaces failed"):
                await people.begin(url(host), None, namespaces=[namespace])
        assert [each.refused["session"] for each in host.namespaces] == [1, 1]


async def test_client_recovers_in_both(tmp_path: Path) -> None:
    """A client that drops is recovered in each of its namespaces."""
    javascript = clients("javascript")
    async with serving(tmp_path, Main, Other) as host, javascript as people:
        ann = await people.connect(url(host), token("Ann"))
        await ann.script(
            "globalThis.other = socket.io.socket('/other', {});"
            "return new Promise(done => other.on('connect', () => done(1)).connect());"
        )
        await host.namespaces[0].emit("mark", 1)  # recovery needs an offset
        await host.namespaces[1].emit("mark", 1)
        assert await ann.receive("mark") == 1
        await ann.script(
            "return new Promise(done => {"
            "  const look = () => other._lastOffset ? done(1) : setTimeout(look, 5); look(); })"
        )
        again = ann.script(
            "return Promise.all([socket, other].map(one => new Promise("
            "  done => one.once('connect', () => done(one.recovered)))))"
        )
        recovered = asyncio.create_task(again)
        await ann.script("socket.io.engine.close()")
        assert await recovered == [True, True]


def test_two_with_one_name(tmp_path: Path) -> None:
    """Two namespaces with one name are an error at the start."""
    with pytest.raises(StartError, match="has two namespaces named '/': Main and Main"):
        create_app(settings(tmp_path), [Main, Main])
