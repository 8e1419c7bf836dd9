"""Sockets end with their session, on every host; claims restrict events and rooms."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from functions.contract.session import Session, Sessions
from functions.web.emitters import open_emitter
from socket_host import session_end
from socket_host.namespace import Namespace, event
from tests.kit.buses import redis
from tests.kit.clients import clients
from tests.kit.hosts import PATIENCE, SECRET, on_each_transport, serving, token, url
from tests.kit.waiting import until


def claiming(name: str, **claims: Any) -> str:
    """A token of a visitor who has signed in with claims."""
    return Sessions(SECRET).issue(Session(name.lower(), name, claims=claims))


class Club(Namespace):
    """Requires claims."""

    @event("club:close", claim="role=keeper")
    def close(self, sid: str, why: str) -> str:
        return f"closed: {why}"

    async def on_enter(self, sid: str, room: str) -> list[str]:
        await self.enter_room(sid, room)
        return sorted(set(self.rooms(sid)) - {sid})

    async def on_ban(self, sid: str, visitor: str) -> None:
        self.disconnect_visitor(visitor)

    def may_join(self, sid: str, room: str) -> bool:
        return room != "board" or self.visitor(sid).has("board")


class Bar(Club):
    """Another namespace."""

    namespace = "/bar"


@on_each_transport
async def test_event_requires_a_claim(transport: str, tmp_path: Path) -> None:
    """Clients without the claim get an error, whatever their payload."""
    async with serving(tmp_path, Club, transport=transport) as host, clients() as people:
        ann = await people.connect(url(host), claiming("Ann", role="keeper"))
        bob = await people.connect(url(host), claiming("Bob", role="guest"))
        assert await ann.call("club:close", "late") == "closed: late"
        assert (await ann.call("club:close", 7))["field"] == "why"
        assert await bob.call("club:close", 7) == {"error": "You may not do this."}
        assert host.namespaces[0].refused == {"shape": 1, "claim": 1}


@on_each_transport
async def test_room_requires_a_claim(transport: str, tmp_path: Path) -> None:
    """Only clients that may join a room can enter it."""
    async with serving(tmp_path, Club, transport=transport) as host, clients() as people:
        ann = await people.connect(url(host), claiming("Ann", board=True))
        bob = await people.connect(url(host), token("Bob"))
        assert await ann.call("enter", "board") == ["board"]
        assert await bob.call("enter", "board") == {"error": "You may not join this room."}
        assert await bob.call("enter", "hall") == ["hall"]


async def test_recovered_client_leaves_forbidden_rooms(tmp_path: Path) -> None:
    """A recovered client is checked again, and does not get the missed events of such a room."""
    allowed = {"board"}

    class Moody(Club):
        def may_join(self, sid: str, room: str) -> bool:
            return room in allowed

    async with serving(tmp_path, Moody) as host, clients("javascript") as people:
        ann = await people.connect(url(host), token("Ann"))
        assert await ann.call("enter", "board") == ["board"]
        await host.namespaces[0].emit("mark", 1)
        await ann.receive("mark")
        allowed.clear()
        await ann.script("socket.io.engine.close()")
        await ann.receive("connect")
        assert await ann.script("return socket.recovered")
        (sid,) = host.namespaces[0]._clients
        assert host.namespaces[0].rooms(sid) == [sid]


async def test_may_join_that_fails(tmp_path: Path) -> None:
    """A client that is back, and whose rooms cannot be checked, is refused and forgotten."""
    works = True

    class Broken(Club):
        def may_join(self, sid: str, room: str) -> bool:
            if not works:
                raise RuntimeError("a bug")
            return True

    async with serving(tmp_path, Broken) as host, clients("javascript") as people:
        ann = await people.connect(url(host), token("Ann"))
        assert await ann.call("enter", "hall") == ["hall"]
        works = False
        await ann.script("socket.io.engine.close()")
        assert (await ann.receive("connect_error"))["data"] == {"code": "failed"}
        assert not host.namespaces[0].sids_of("ann")
        works = True
        await ann.script("socket.connect()")
        assert await ann.back()
        assert await ann.call("enter", "hall") == ["hall"]


@on_each_transport
async def test_expired_session_ends_its_socket(
    transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client whose session expires is closed within seconds, even between pings."""
    monkeypatch.setattr(session_end, "SWEEP_SECONDS", 0.05)
    soon = Sessions(SECRET, max_age=10**6)
    short = soon.issue(Session("ann", "Ann"))
    async with (
        serving(tmp_path, Club, transport=transport, ping_interval=600) as host,
        clients() as people,
    ):
        ann = await people.connect(url(host), short, client={"reconnection": False})
        bob = await people.connect(url(host), token("Bob"))
        club: Any = host.namespaces[0]
        (member,) = (one for one in club._clients.values() if one.session.name == "Ann")
        member.session = Session("ann", "Ann", time.time() - 1)
        await ann.receive("disconnect")
        await until(lambda: len(club._clients) == 1)
        assert await bob.call("enter", "hall") == ["hall"]


@on_each_transport
async def test_visitor_is_disconnected_everywhere(transport: str, tmp_path: Path) -> None:
    """A ban on one host closes only the visitor's sockets, on all hosts and in all namespaces."""
    both: dict[str, Any] = {"namespaces": ["/", "/bar"]}
    async with (
        redis(tmp_path) as server,
        serving(tmp_path, Club, Bar, transport=transport, bus=server.setting) as one,
        serving(tmp_path, Club, Bar, transport=transport, bus=server.setting) as other,
        clients() as people,
    ):
        here = await people.connect(url(one), token("Ann"), **both)
        there = await people.connect(url(other), token("Ann"), **both)
        bob = await people.connect(url(other), token("Bob"))
        await bob.emit("ban", "ann")
        for client in (here, there):
            await client.receive("disconnect")
        for namespace in (*one.namespaces, *other.namespaces):
            await until(lambda namespace=namespace: not namespace.sids_of("ann"))
        assert await bob.call("enter", "hall") == ["hall"]


@on_each_transport
async def test_tab_that_takes_its_time(
    transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow `on_disconnect` holds up neither the visitor's other tabs nor, for long, the host."""
    monkeypatch.setattr(session_end, "_FINISH_SECONDS", 0.1)
    over = asyncio.Event()

    class Slow(Club):
        async def on_disconnect(self, sid: str, reason: str) -> None:
            await over.wait()

    async with serving(tmp_path, Slow, transport=transport) as host, clients() as people:
        tabs = [await people.connect(url(host), token("Ann")) for _ in range(3)]
        host.namespaces[0].disconnect_visitor("ann")
        for tab in tabs:
            await tab.receive("disconnect")
        async with asyncio.timeout(PATIENCE):
            await host._session_end.finish()
        over.set()


async def test_function_disconnects_a_visitor(tmp_path: Path) -> None:
    """A page that signs a visitor out closes their sockets."""
    async with serving(tmp_path, Club) as host, clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        emitter = open_emitter(f"{url(host)}/bus", SECRET)
        await asyncio.to_thread(emitter.disconnect, "ann")
        await ann.receive("disconnect")
        await until(lambda: not host.visitors.clients)
