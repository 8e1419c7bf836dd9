"""Stored messages reach the clients of all hosts, even if their host was killed before it sent them
or the bus lost them: the page's own code learns that it lacks messages, and requests them.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from socket_host.app import SocketHost
from socket_host.bus import peers
from socket_host.events import resync
from socket_host.events.chat import Chat
from socket_host.events.room_log import HostRoomLog
from tests.app.room import PAGE
from tests.chaos.crowd import ROOM, Crowd, crowd
from tests.chaos.wire import Wire
from tests.kit import buses
from tests.kit.clients import PythonClient
from tests.kit.hosts import PATIENCE, HostProcess, token, url
from tests.kit.waiting import until
from tests.kit.yours import environ, host_process, serving

MESSAGE = {"id": "m1", "text": "stored, but not sent"}


class Site:
    """A host with a page's own code on it, and another one whose bus connection can be cut."""

    def __init__(self, host: SocketHost, doomed: HostProcess, wire: Wire, page: Crowd) -> None:
        self.host = host
        self.page = page
        self._doomed = doomed
        self._wire = wire

    async def lose_message(self) -> None:
        """Have the doomed host store and ack a message, but kill it before the bus gets it."""
        self._wire.silence()
        assert await say(self._doomed.url) == {"seq": 1}
        self._doomed.process.send_signal(signal.SIGKILL)
        await self._doomed.process.wait()
        self._wire.cut()
        assert self.host.bus.health()["peers"] == 1, "the host is lost already"
        assert await self.shown() == 0

    async def shown(self) -> int:
        """Return how many messages the page shows."""
        return int((await self.page.do("stand"))[0]["shown"])


async def heals(page: Crowd) -> None:
    """Wait until the page shows the message."""
    await page._stands(lambda stand: stand[0]["shown"] == 1)


async def say(where: str) -> dict[str, object]:
    """Send the message, and return its ack without the time."""
    client = PythonClient()
    try:
        await client.connect(where, token=token("Ann"))
        await client.call("join", {"room": ROOM})
        answer = await client.call("message", MESSAGE)
    finally:
        await client.close()
    return {"seq": answer["seq"]}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """Two hosts on one bus that have found each other."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(buses.redis(tmp_path))
        wire = await stack.enter_async_context(Wire(redis.port).open())
        host = await stack.enter_async_context(serving(tmp_path, bus=redis.setting, origins=None))
        settings = environ(tmp_path, BUS=f"redis://127.0.0.1:{wire.port}")
        doomed = await stack.enter_async_context(host_process(settings))
        await doomed.ready()
        await until(lambda: len(host.bus.peers) == 1)
        page = await stack.enter_async_context(crowd([url(host)], PAGE))
        await page._stands(lambda stand: stand[0]["joined"])
        yield Site(host, doomed, wire, page)


async def test_unsent_message_appears_after_the_host_is_lost(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages on other hosts show it, even if nobody writes in that room again."""
    await site.lose_message()
    monkeypatch.setattr(peers, "HEARTBEAT", 0.1)
    await heals(site.page)


async def test_unavailable_room_log_only_delays_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that cannot read the room log when it loses another notifies its rooms later."""
    monkeypatch.setattr(peers, "HEARTBEAT", 3_600)
    monkeypatch.setattr(resync, "PAUSE", 0.05)
    await site.lose_message()
    log = site.host.namespace(Chat).log
    await rename(log, "message", "gone")
    site.host.bus.peers._lose(next(iter(site.host.bus.peers)))
    await until(lambda: log._away)
    await rename(log, "gone", "message")
    await heals(site.page)


async def rename(log: HostRoomLog, table: str, name: str) -> None:
    await log._in_thread(partial(log._sync._db.execute, f"ALTER TABLE {table} RENAME TO {name}"))  # type: ignore[attr-defined]


async def test_unsent_message_appears_after_it_is_repeated(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When its sender repeats it on another host, the other clients request it."""
    monkeypatch.setattr(peers, "LOST", 1_000)
    await site.lose_message()
    assert await say(url(site.host)) == {"seq": 1}
    await heals(site.page)


async def test_message_that_the_bus_lost_appears_after_it_is_back(tmp_path: Path) -> None:
    """A host notifies its rooms of what others stored while it was disconnected from Redis."""
    async with (
        buses.redis(tmp_path) as redis,
        Wire(redis.port).open() as wire,
        serving(tmp_path, bus=redis.setting) as host,
        serving(tmp_path, bus=f"redis://127.0.0.1:{wire.port}", origins=None) as cut_off,
        crowd([url(cut_off)], PAGE) as page,
    ):
        await until(lambda: ROOM in cut_off.namespace(Chat).presence.rooms())
        wire.cut()
        await until(lambda: cut_off.bus.health()["status"] == "degraded")
        assert await say(url(host)) == {"seq": 1}
        await until(lambda: not host.bus.health()["waiting"])
        wire.heal()
        await heals(page)


async def test_page_repeats_its_request_if_notified_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that is notified during a request repeats it, because the answer may be older."""
    async with serving(tmp_path, origins=None) as host, crowd([url(host)], PAGE) as page:
        events, asked, gate = host.namespace(Chat), asyncio.Event(), asyncio.Event()
        await until(lambda: ROOM in events.presence.rooms())
        await events.settle()  # it has joined
        history = events.history

        async def late(sid: str, room: str, after: int | None) -> Any:
            answer = await history(sid, room, after)
            asked.set()
            await gate.wait()
            return answer

        monkeypatch.setattr(events, "history", late)
        events.remind(ROOM, 1)
        await asyncio.wait_for(asked.wait(), PATIENCE)
        await events.log.append(ROOM, id="m1", author="ann", name="Ann", text="hello")
        events.remind(ROOM, 1)
        await page.do("stand")  # by then the notification has been sent, before the answer
        gate.set()
        await heals(page)
