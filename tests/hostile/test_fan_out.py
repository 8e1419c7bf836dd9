"""A client that sends as much as it may costs the host little, however many recipients it has."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from socket_host.app import TRANSPORTS
from tests.hostile.crowd import Member, audience, flood, member
from tests.hostile.victim import victim
from tests.kit import buses
from tests.kit.hosts import PATIENCE
from tests.small_app.model.posts import MAX_TEXT

pytestmark = pytest.mark.together("waiting")

MB = 1_000_000
RATE = 50  # events a second: the default

Kind = Callable[[int], str]

_MOST = 0.1  # of a core
_SLACK = 2.5  # times as much on a processor shared with other tests

KINDS: dict[str, Kind] = {
    "busy": lambda n: f'42["busy",{["true", "false"][n % 2]}]',
    "draft": lambda n: '42["draft","%s"]' % ("😀" * MAX_TEXT),
    "short draft": lambda n: f'42["draft","{n}"]',
    "message": lambda n: f'42["message",{{"id":"{n}","text":"{n}"}}]',
    "same message": lambda n: '42["message",{"id":"same","text":"again"}]',
}


# The stock transport takes several times as long for each recipient.
@pytest.mark.parametrize(("transport", "listeners"), [("fast", 1_000), ("stock", 300)])
async def test_one_client(transport: str, listeners: int, tmp_path: Path) -> None:
    """One client that sends as much as it may costs the host less than a tenth of a core."""
    seconds = 3
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(
            victim(tmp_path, TRANSPORT=transport, MAX_CONNECTIONS="1500", PING_INTERVAL="3600")
        )
        people = await stack.enter_async_context(audience(host.port, listeners))
        eves = {k: await stack.enter_async_context(member(host.port, f"Eve, {k}")) for k in KINDS}
        await asyncio.sleep(1.5)  # until presence is announced
        for kind, eve in eves.items():  # each has an allowance of its own
            cpu, got = host.cpu(), sum(one.got for one in people)
            await flood(eve, KINDS[kind], RATE, seconds)
            assert host.cpu() - cpu < _MOST * _SLACK * seconds, kind
            # More than 1 MB/s, because one event may exceed what a client can spend at once.
            assert sum(one.got for one in people) - got < 30 * MB, kind
            assert not any(one.lost.is_set() for one in people), kind


@pytest.mark.parametrize("kind", ["draft", "busy"])
async def test_many_sockets_of_one_visitor(kind: str, tmp_path: Path) -> None:
    """A visitor has one allowance for all sockets."""
    seconds = 3
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(victim(tmp_path))
        people = await stack.enter_async_context(audience(host.port, 300))
        eves = [await stack.enter_async_context(member(host.port, "Eve")) for _ in range(20)]
        await asyncio.sleep(1)
        cpu, got = host.cpu(), sum(one.got for one in people)
        await asyncio.gather(*(flood(eve, KINDS[kind], RATE, seconds) for eve in eves))
        assert host.cpu() - cpu < 0.35 * seconds  # mostly for refusing 1,000 events a second
        assert sum(one.got for one in people) - got < 30 * MB


@pytest.mark.parametrize("kind", ["busy", "message"])
async def test_listeners_on_another_host(kind: str, tmp_path: Path) -> None:
    """A client is also charged for recipients on other hosts, where the cost is the same."""
    seconds, listeners = 3, 600
    (tmp_path / "other").mkdir()
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(buses.redis(tmp_path))
        limits = {"BUS": redis.setting, "MAX_CONNECTIONS": "1000"}
        here = await stack.enter_async_context(victim(tmp_path, **limits))
        there = await stack.enter_async_context(victim(tmp_path / "other", **limits))
        people = await stack.enter_async_context(audience(there.port, listeners, "den"))
        eve = await stack.enter_async_context(member(here.port, "Eve"))
        async with asyncio.timeout(PATIENCE):
            while (await eve.ask("enter", {"room": "den"}))["who"]["count"] <= listeners:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        await asyncio.sleep(1.5)  # until presence is announced
        cpu = there.cpu()
        await flood(eve, KINDS[kind], RATE, seconds)
        assert there.cpu() - cpu < _MOST * _SLACK * seconds
        assert not any(one.lost.is_set() for one in people)


async def test_honest_room_of_a_thousand(tmp_path: Path) -> None:
    """In a room of 1,000, people who write now and then are not refused."""
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(victim(tmp_path, MAX_CONNECTIONS="1500"))
        await stack.enter_async_context(audience(host.port, 970))
        writers = [
            await stack.enter_async_context(member(host.port, f"Ann {n}")) for n in range(30)
        ]

        async def write(number: int, ann: Member) -> None:
            await asyncio.sleep(number * 0.3)
            for busy in (True, True, False):
                assert await ann.ask("busy", busy) == {}
            text = "What a nice room, and how many there are."
            assert "seq" in await ann.ask("message", {"id": f"{number}", "text": text})

        await asyncio.gather(*(write(number, ann) for number, ann in enumerate(writers)))
        assert not (await host.health())["refused"]


@pytest.mark.parametrize("transport", sorted(TRANSPORTS))
async def test_busy_room_refuses_before_it_stores(transport: str, tmp_path: Path) -> None:
    """A room's rate is limited; others in it get an error with `retry`, and nothing is stored."""
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(
            victim(tmp_path, TRANSPORT=transport, ROOM_BYTES_PER_SECOND="1000")
        )
        ann = await stack.enter_async_context(member(host.port, "Ann", "den"))
        bob = await stack.enter_async_context(member(host.port, "Bob", "den"))
        cat = await stack.enter_async_context(member(host.port, "Cat", "hall"))
        text = "x" * MAX_TEXT
        assert (await ann.ask("message", {"id": "1", "text": text}))["seq"] == 1
        while "seq" in (answer := await ann.ask("message", {"id": "2", "text": text})):
            pass
        assert answer["retry"]
        assert (await bob.ask("message", {"id": "3", "text": "hello"})).keys() == {"error", "retry"}
        stored = (await cat.ask("enter", {"room": "den"}))["messages"]
        assert "3" not in [message["id"] for message in stored]
        assert (await cat.ask("enter", {"room": "hall"}))["room"] == "hall"
        assert "seq" in await cat.ask("message", {"id": "4", "text": "hello"})


@pytest.mark.parametrize("kind", ["draft", "message"])
async def test_replay_buffer_is_shared(kind: str, tmp_path: Path) -> None:
    """A client that dropped recovers, even if a visitor with many sockets sends all it may."""
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(victim(tmp_path))
        bob = await stack.enter_async_context(member(host.port, "Bob", "den"))
        long = "😀" * MAX_TEXT
        eves = [
            await stack.enter_async_context(member(host.port, "Eve", f"pit-{n}")) for n in range(10)
        ]
        for eve in eves:
            eve.count()
        async with member(host.port, "Ann", "den") as ann:
            await bob.ask("message", {"id": "1", "text": "before"})
            offset = await ann.receive_offset(b'"before"')

        def packet(eve: int) -> Kind:
            if kind == "message":
                return lambda n: f'42["message",{{"id":"{eve} {n}","text":"{long}"}}]'
            return KINDS[kind]

        await asyncio.gather(
            *(flood(eve, packet(number), RATE, 4) for number, eve in enumerate(eves))
        )
        assert "seq" in await bob.ask("message", {"id": "2", "text": "meanwhile"})
        async with member(host.port, "Ann", pid=ann.pid, offset=offset) as again:
            assert again.pid == ann.pid
            await again.receive(b'"meanwhile"')
