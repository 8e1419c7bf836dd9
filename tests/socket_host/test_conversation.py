"""Visitors' conversations, with both client libraries and every way to connect."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from socket_host.app import SocketHost
from tests.kit.clients import WAYS, Clients, clients
from tests.kit.hosts import serving, token, url


@dataclass
class Scene:
    """A host, and clients of one kind that connect in one way."""

    host: SocketHost
    people: Clients

    async def enter(self, name: str) -> Any:
        """Return a connected client with the session of a visitor."""
        return await self.people.connect(url(self.host), token(name))


CASES = [
    *[(kind, way, "fast") for kind in ("python", "javascript") for way in WAYS],
    *[("python", way, "stock") for way in WAYS],
]


@pytest.fixture(params=CASES, ids="-".join)
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    """A scene for each client, way to connect, and transport of the host."""
    kind, way, transport = request.param
    async with clients(kind, way) as people, serving(tmp_path, transport=transport) as host:
        yield Scene(host, people)


async def test_draft_reaches_the_others(scene: Scene) -> None:
    """A client that enters no room is in the plaza; its text reaches everyone else there."""
    ann = await scene.enter("Ann")
    bob = await scene.enter("Bob")
    assert await ann.call("draft", "Hel") == {}
    await ann.emit("draft", "Hello")
    assert [await bob.receive("drafted") for _ in range(2)] == ["Hel", "Hello"]
    await bob.emit("draft", "Hello you")
    assert await ann.receive("drafted") == "Hello you"
    assert ann.inbox.order.count("drafted") == 1


async def test_ack_arrives_before_the_message(scene: Scene) -> None:
    """A message is acked with its number before it reaches everybody, including its author."""
    ann = await scene.enter("Ann")
    bob = await scene.enter("Bob")
    for client in (ann, bob):
        joined = await client.call("enter", {"room": "tea"})
        assert (joined["room"], joined["messages"], joined["last"]) == ("tea", [], 0)
    assert joined["you"] == {"id": "bob", "name": "Bob"}
    assert joined["who"] == {"count": 2, "names": ["Ann", "Bob"]}

    acks = [await ann.call("message", {"id": str(n), "text": f"cup {n}"}) for n in (1, 2, 3)]
    assert [ack["seq"] for ack in acks] == [1, 2, 3]
    for client in (ann, bob):
        received = [await client.receive("message") for _ in range(3)]
        assert [(m["seq"], m["text"], m["name"]) for m in received] == [
            (n, f"cup {n}", "Ann") for n in (1, 2, 3)
        ]
    assert received[0] == {
        "room": "tea",
        "seq": 1,
        "id": "1",
        "author": "ann",
        "name": "Ann",
        "text": "cup 1",
        "at": acks[0]["at"],
    }


async def test_many_messages_keep_their_order(scene: Scene) -> None:
    """Messages sent by two clients at once reach everybody in the order of their numbers."""
    pair = [await scene.enter(name) for name in ("Ann", "Bob")]
    for n in range(40):
        for client in pair:
            await client.emit("message", {"id": uuid.uuid4().hex, "text": f"line {n}"})
    for client in pair:
        received = [await client.receive("message") for _ in range(80)]
        assert [m["seq"] for m in received] == list(range(1, 81))
        for author in ("ann", "bob"):
            lines = [m["text"] for m in received if m["author"] == author]
            assert lines == [f"line {n}" for n in range(40)]


async def test_who_is_here(scene: Scene) -> None:
    """The room is informed who enters and leaves; a visitor with two tabs counts once."""
    ann = await scene.enter("Ann")
    assert await ann.receive("who") == {"count": 1, "names": ["Ann"]}
    for _ in range(2):
        tab = await scene.enter("Bob")
        await tab.call("enter", {"room": "den"})
        await tab.call("enter", {"room": "plaza"})
    while (who := await ann.receive("who"))["count"] != 2:
        pass
    assert who == {"count": 2, "names": ["Ann", "Bob"]}
    assert (await ann.call("enter", {"room": "plaza"}))["who"] == who


async def test_who_has_left(scene: Scene) -> None:
    """When a visitor closes the last tab, the others are informed."""
    ann = await scene.enter("Ann")
    bob = await scene.enter("Bob")
    while (await ann.receive("who"))["count"] != 2:
        pass
    # Not awaited: python-socketio's polling client waits for the response to its last request.
    leaving = asyncio.create_task(bob.close())
    while (who := await ann.receive("who"))["count"] != 1:
        pass
    assert who["names"] == ["Ann"]
    await scene.host.stop()
    await leaving


async def test_somebody_is_busy(scene: Scene) -> None:
    """`busy` reaches only the others in the same room."""
    ann, bob, cat = [await scene.enter(n) for n in ("Ann", "Bob", "Cat")]
    await cat.call("enter", {"room": "den"})
    for busy in (True, False):
        assert await ann.call("busy", busy) == {}
        assert await bob.receive("busy") == {"id": "ann", "name": "Ann", "busy": busy}
    assert await cat.call("busy", True) == {}
    assert ann.inbox.unread("busy") == cat.inbox.unread("busy") == []


async def test_refused_session_gets_a_reason(scene: Scene) -> None:
    """A client without a valid session gets a sentence for people and a code for programs."""
    options = {"wait": False, "retry": False} if scene.people.kind == "python" else {}
    client = await scene.people.begin(url(scene.host), "forged", **options)
    refused = await client.receive("connect_error")
    assert refused["data"] == {"code": "session"}
    assert "Reload the page" in refused["message"]


async def test_no_event_arrives_before_connect(scene: Scene) -> None:
    """A client gets the answer to CONNECT before any event, even in a busy room."""
    ann = await scene.enter("Ann")
    for n in range(20):
        await ann.emit("draft", f"text {n}")
    bob = await scene.enter("Bob")
    await bob.receive("who")
    assert bob.inbox.order[0] == "connect"
