"""Whom an event goes to: names that every host takes, and answers of several clients."""

import asyncio
import enum
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from socket_host.transport import bus_manager
from tests.kit import buses
from tests.kit.buses import Host
from tests.kit.hosts import PATIENCE, on_each_transport
from tests.kit.waiting import until

pytestmark = on_each_transport


@pytest.fixture
async def pair(transport: str, tmp_path: Path) -> AsyncIterator[tuple[Host, Host]]:
    """Two hosts with Redis between them."""
    async with (
        buses.redis(tmp_path) as redis,
        buses.host(redis.setting, transport) as one,
        buses.host(redis.setting, transport) as other,
    ):
        yield one, other


async def test_callback_of_several_clients(pair: tuple[Host, Host]) -> None:
    """Each client that gets an event answers it once, whichever host it is on."""
    for name, host in zip(("Ann", "Bob"), pair, strict=True):
        client = await host.client()
        client.sio.on("who", lambda *_, name=name: name)
    sids = [host.sids[0] for host in pair]
    sio = pair[0].sio
    for to in ("plaza", ["plaza", *sids], sids, None):
        answers: list[str] = []
        await sio.emit("who", to=to, callback=answers.append)
        await until(lambda answers=answers: len(answers) == 2)
        assert sorted(answers) == ["Ann", "Bob"]
    for sid, name in zip(sids, ("Ann", "Bob"), strict=True):
        assert await sio.call("who", to=sid, timeout=PATIENCE) == name
    assert list(sio.manager.callbacks[sids[0]]) == [0]  # nothing but the counter
    assert sids[1] not in sio.manager.callbacks


class Floor(enum.StrEnum):
    """Rooms by name."""

    FIRST = "first"


LONG = "x" * 1_025


async def test_names_of_rooms(pair: tuple[Host, Host]) -> None:
    """A room that other hosts would refuse can be neither entered nor sent to, on any host."""
    one, other = pair
    clients = [await host.client() for host in pair]
    odd: list[Any] = [LONG, 1.5, True, 2**60, b"den"]
    for room in [*odd, None, ("a", "b"), frozenset("a")]:
        for call in (one.sio.enter_room, one.sio.leave_room):
            for host in pair:
                with pytest.raises(ValueError, match="room"):
                    await call(host.sids[0], room)
        with pytest.raises(ValueError, match="room"):
            await one.sio.close_room(room)
    for room in [*odd, *([each] for each in odd), [f"{n:020}" for n in range(3_500)], ["a", None]]:
        with pytest.raises(ValueError, match="'news'"):
            await one.sio.emit("news", room=room)
    for skipped in (LONG, [1], [None], [f"{n:020}" for n in range(3_500)]):
        with pytest.raises(ValueError, match="'news'"):
            await one.sio.emit("news", skip_sid=skipped)
    for room in ("", 0, -7, Floor.FIRST, LONG[1:]):
        for host in pair:
            await one.sio.enter_room(host.sids[0], room)
        await one.sio.emit("news", repr(room), room=room)
        assert [await client.receive("news") for client in clients] == [repr(room)] * 2
    assert clients[0].inbox.unread("news") == clients[1].inbox.unread("news") == []
    assert other.bus.health()["invalid"] == 0


async def test_client_that_never_answers(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the callbacks that wait for a client, only the newest are kept."""
    monkeypatch.setattr(bus_manager, "_MOST_OF_ONE", 10)
    over = asyncio.Event()

    async def answer(*_: Any) -> None:
        await over.wait()

    async with buses.host("local", transport) as host:
        client = await host.client()
        client.sio.on("question", answer)
        for _ in range(50):
            await host.sio.emit("question", to=host.sids[0], callback=print)
        assert list(host.sio.manager.callbacks[host.sids[0]]) == [0, *range(41, 51)]
        with pytest.raises(ValueError, match="stands for several rooms"):
            await host.sio.enter_room(host.sids[0], ("a", "b"))
        with pytest.raises(ValueError, match="is None"):
            await host.sio.emit("news", to=[host.sids[0], None])
        over.set()


async def test_unanswered_callbacks(
    transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the callbacks that wait for clients of other hosts, only the newest are kept."""
    monkeypatch.setattr(bus_manager, "_MOST_UNANSWERED", 10)
    async with buses.redis(tmp_path) as redis, buses.host(redis.setting, transport) as host:
        client = await host.client()
        client.sio.on("question", lambda *_: "answer")
        for number in range(100):
            await host.sio.emit("question", to=f"sid {number // 2}", callback=print)
        callbacks = host.sio.manager.callbacks
        assert list(callbacks) == [f"sid {number}" for number in range(45, 50)]
        assert await host.sio.call("question", to=host.sids[0], timeout=PATIENCE) == "answer"
