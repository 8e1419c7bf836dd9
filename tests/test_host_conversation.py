"""What visitors do together, by both clients that people use and every way they connect."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clients import TRANSPORTS, Clients, clients
from tests.hosts import serving, token, url

WAYS = [(kind, transport) for kind in ("python", "javascript") for transport in TRANSPORTS]


@pytest.fixture(params=WAYS, ids="-".join)
async def people(request: pytest.FixtureRequest) -> AsyncIterator[Clients]:
    """Clients of one kind over one transport."""
    async with clients(*request.param) as found:
        yield found


async def test_typing_reaches_the_others(people: Clients, tmp_path: Path) -> None:
    """A client that joins nothing is in the lobby, where its text reaches everyone but itself."""
    async with serving(tmp_path) as host:
        ann = await people.connect(url(host), token("Ann"))
        bob = await people.connect(url(host), token("Bob"))
        assert await ann.say("input-change", "Hel") == {}
        await ann.tell("input-change", "Hello")
        assert [await bob.hear("update-input") for _ in range(2)] == ["Hel", "Hello"]
        await bob.tell("input-change", "Hello you")
        assert await ann.hear("update-input") == "Hello you"
        assert ann.inbox.order.count("update-input") == 1


async def test_message_is_acked_then_heard(people: Clients, tmp_path: Path) -> None:
    """A message is acked with its number, and only then reaches everybody, its author too."""
    async with serving(tmp_path) as host:
        ann = await people.connect(url(host), token("Ann"))
        bob = await people.connect(url(host), token("Bob"))
        for client in (ann, bob):
            joined = await client.say("join", {"room": "tea"})
            assert (joined["room"], joined["messages"], joined["last"]) == ("tea", [], 0)
        assert joined["you"] == {"id": "bob", "name": "Bob"}
        assert joined["who"] == {"count": 2, "names": ["Ann", "Bob"]}

        acks = [await ann.say("message", {"id": str(n), "text": f"cup {n}"}) for n in (1, 2, 3)]
        assert [ack["seq"] for ack in acks] == [1, 2, 3]
        for client in (ann, bob):
            heard = [await client.hear("message") for _ in range(3)]
            assert [(m["seq"], m["text"], m["name"]) for m in heard] == [
                (n, f"cup {n}", "Ann") for n in (1, 2, 3)
            ]
        assert heard[0] == {
            "room": "tea",
            "seq": 1,
            "id": "1",
            "author": "ann",
            "name": "Ann",
            "text": "cup 1",
            "at": acks[0]["at"],
        }


async def test_many_messages_keep_their_order(people: Clients, tmp_path: Path) -> None:
    """Messages that two clients send at once reach everybody in the order of their numbers."""
    async with serving(tmp_path) as host:
        pair = [await people.connect(url(host), token(name)) for name in ("Ann", "Bob")]
        for n in range(40):
            for client in pair:
                await client.tell("message", {"id": uuid.uuid4().hex, "text": f"line {n}"})
        for client in pair:
            heard = [await client.hear("message") for _ in range(80)]
            assert [m["seq"] for m in heard] == list(range(1, 81))
            for author in ("ann", "bob"):
                lines = [m["text"] for m in heard if m["author"] == author]
                assert lines == [f"line {n}" for n in range(40)]


async def test_who_is_here(people: Clients, tmp_path: Path) -> None:
    """Who comes and goes is told to the room, and a visitor with two tabs open is there once."""
    async with serving(tmp_path) as host:
        ann = await people.connect(url(host), token("Ann"))
        assert await ann.hear("who") == {"count": 1, "names": ["Ann"]}
        for _ in range(2):
            tab = await people.connect(url(host), token("Bob"))
            await tab.say("join", {"room": "den"})
            await tab.say("join", {"room": "lobby"})
        while (who := await ann.hear("who"))["count"] != 2:
            pass
        assert who == {"count": 2, "names": ["Ann", "Bob"]}
        assert (await ann.say("join", {"room": "lobby"}))["who"] == who


async def test_somebody_is_typing(people: Clients, tmp_path: Path) -> None:
    """That somebody types, and that they stopped, is told to the others in their room only."""
    async with serving(tmp_path) as host:
        ann, bob, cat = [await people.connect(url(host), token(n)) for n in ("Ann", "Bob", "Cat")]
        await cat.say("join", {"room": "den"})
        for typing in (True, False):
            assert await ann.say("typing", typing) == {}
            assert await bob.hear("typing") == {"id": "ann", "name": "Ann", "typing": typing}
        assert await cat.say("typing", True) == {}
        assert ann.inbox.unheard("typing") == cat.inbox.unheard("typing") == []


async def test_refused_session_is_told_why(people: Clients, tmp_path: Path) -> None:
    """A client without a good session hears a sentence for people and a code for programs."""
    async with serving(tmp_path) as host:
        options = {"wait": False, "retry": False} if people.kind == "python" else {}
        client = await people.begin(url(host), "forged", **options)
        refused = await client.hear("connect_error")
        assert refused["data"] == {"code": "session"}
        assert "Reload the page" in refused["message"]


async def test_nothing_is_heard_before_connect(people: Clients, tmp_path: Path) -> None:
    """A client hears of its connection before it hears any event, also when the room is busy."""
    async with serving(tmp_path) as host:
        ann = await people.connect(url(host), token("Ann"))
        for n in range(20):
            await ann.tell("input-change", f"text {n}")
        bob = await people.connect(url(host), token("Bob"))
        await bob.hear("who")
        assert bob.inbox.order[0] == "connect"
