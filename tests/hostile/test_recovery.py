"""Dropped clients' sessions, and their missed events, are bounded in bytes."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from socket_host.app import SocketHost
from socket_host.transport.native import (
    recovery,
    replay_buffer,
)
from socket_host.transport.native import session_migration as migration
from socket_host.transport.native.message import Message
from socket_host.transport.native.recovery import DisconnectedSession, ReplayPoint
from socket_host.transport.native.replay_buffer import ReplayBuffer
from socket_host.transport.native.shutdown_snapshot import pieces
from tests.hostile.guests import MB, gone, guest, in_garden, on_both, tell
from tests.hostile.victim import Victim, victim
from tests.kit.buses import Redis
from tests.kit.hosts import serving
from tests.kit.protocol_client import PATIENCE
from tests.kit.waiting import until
from tests.socket_host.transport.moving import hosts
from tests.socket_host.transport.recovering import Rooms, emit


@on_both
async def test_missed_events_are_not_copied(way: str, tmp_path: Path) -> None:
    """Missed events are not copied for each client, even if clients drop and return repeatedly."""
    async with victim(tmp_path, MAX_CONNECTIONS="500") as host, AsyncExitStack() as stack:
        people = [guest(host, way, f"Ann {number}") for number in range(60)]
        for one in people:
            await stack.enter_async_context(one)
        for one in people:
            await one.drop()
        texts = [f"{number} {'x' * 20_000}" for number in range(44)]
        await tell(host, [*texts, "end"])
        before = host.rss()
        for number in range(2):
            offsets = []
            for one in people:
                await one.come()
                assert one.recovered
                one.received.clear()
                await one.receive(texts[number])
                offsets.append(one.offset)
                await one.receive("end")
                assert len([text for text in one.received if text == "end"]) == 1
            assert host.rss() - before < 20 * MB
            for one, offset in zip(people, offsets, strict=True):
                one.offset = offset  # as if nothing else had arrived
                await one.drop()
            assert host.rss() - before < 20 * MB


async def test_unread_replays_stay_in_the_replay_buffer(tmp_path: Path) -> None:
    """At most one piece of a client's missed events is queued for it."""
    async with victim(tmp_path, MAX_CONNECTIONS="500") as host, AsyncExitStack() as stack:
        people = [guest(host, name=f"Ann {number}") for number in range(30)]
        for one in people:
            await stack.enter_async_context(one)
            await one.drop()
        await tell(host, ["x" * 100_000] * 80)
        before = host.rss()
        for one in people:
            await one.come()
            assert one.recovered
        await until_idle(host)
        assert host.rss() - before < 20 * MB
        assert len((await host.health())["closed"]) == 0


async def until_idle(host: Victim) -> None:
    """Wait until a host is idle."""
    async with asyncio.timeout(PATIENCE):
        used = -1.0
        while host.cpu() - used > 0.01:
            used = host.cpu()
            await asyncio.sleep(0.2)


async def test_what_clients_leave_is_bounded_in_bytes(
    host: SocketHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of large sessions, the newest can be resumed; one that is too large cannot."""
    monkeypatch.setattr(recovery, "MAX_BYTES", 100_000)
    monkeypatch.setattr(recovery, "MAX_BYTES_EACH", 50_000)
    people = [guest(host, name=name) for name in ("Ann", "Bob", "Cid", "Dan")]
    for one, size in zip(people, (40_000, 40_000, 40_000, 60_000), strict=True):
        await one.come()
        await one.send(f'421["keep","{"x" * size}"]')
        while await one.packet() != "431[]":
            pass
        await one.drop()
        await until(gone(host))
    for one in people:
        await one.come()
    assert [one.recovered for one in people] == [False, True, True, False]
    for one in people:
        await one.drop()


async def test_visitor_who_drops_often_crowds_nobody_out(
    host: SocketHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A visitor's own oldest sessions make room for its latest ones."""
    monkeypatch.setattr(recovery, "MAX_DROPPED", 16)
    ann, eves = guest(host, name="Ann"), [guest(host, name="Eve") for _ in range(20)]
    for one in (ann, *eves):
        await one.come()
        await one.drop()
        await until(gone(host))
    back = (ann, eves[0], *eves[-2:])
    for one in back:
        await one.come()
    assert [one.recovered for one in back] == [True, False, True, True]
    for one in back:
        await one.drop()
    await until(gone(host))
    host.sio.recovery.take_all()
    assert not host.sio.recovery._of_owner


def snapshot_of(size: int, offset: str | None = None) -> list[dict[str, Any]]:
    """Return the shutdown snapshot of a host that has emitted this many bytes to one client."""
    left = ReplayBuffer(1_000)
    client = DisconnectedSession("/", "ann", {}, None, ReplayPoint(0, offset))
    for _ in range(size // 1_000):
        left.add(
            Message.of(f'42["said","{"x" * 1_000}","{left.next_offset()}"]'), "/", None, [], None
        )
    return list(pieces(left, [client], {}))


async def test_shutdown_snapshots_are_bounded(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host keeps the newest shutdown snapshots, up to a limit in bytes."""
    monkeypatch.setattr(migration, "MAX_SNAPSHOT_BYTES", 500_000)
    async with serving(tmp_path, Rooms, origins=None, bus=redis.setting) as host:
        handed = host.transport._migration
        for number in range(5):
            for piece in snapshot_of(100_000):
                handed._on_snapshot(f"host {number}", piece)
        assert 0 < sum(snapshot.size for snapshot in handed._snapshots.values()) <= 500_000
        assert "host 4" in handed._snapshots


@on_both
async def test_quiet_client_is_recovered(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quiet client recovers, even if others got more than the replay buffer holds."""
    monkeypatch.setattr(replay_buffer, "MAX_ENTRIES", 20)
    async with (
        serving(tmp_path, Rooms, origins=None, ping_interval=0.1) as host,
        in_garden(host, way) as ann,
    ):
        for _ in range(3):
            await emit(host, *map(str, range(15)), room="kitchen")
            await ann.pong()
            await ann.pong()
        await ann.drop()
        await until(gone(host))
        await emit(host, "end")
        await ann.come()
        assert ann.recovered
        await ann.receive("end")
        assert ann.received == ["end"]


async def test_quiet_for_longer_than_the_window(tmp_path: Path) -> None:
    """A client whose last ping is older than the recovery window recovers."""
    async with (
        serving(tmp_path, Rooms, origins=None, recovery_seconds=0.3) as host,
        in_garden(host) as ann,
    ):
        for _ in range(8):
            await emit(host, "elsewhere", room="kitchen")
            await asyncio.sleep(0.1)
        await ann.drop()
        await until(gone(host))
        await ann.come()
        assert ann.recovered


async def test_pong_does_not_confirm_later_events(tmp_path: Path) -> None:
    """A pong does not confirm events of a replay that had not been sent before the ping."""
    async with (
        serving(tmp_path, Rooms, origins=None, ping_interval=0.2) as host,
        in_garden(host) as ann,
    ):
        await ann.drop()
        await until(gone(host))
        texts = [f"{number} {'x' * 90_000}" for number in range(100)]
        await emit(host, *texts)
        await ann.come()
        (client,) = host.sio.eio.engine.clients.values()
        (member,) = client.members.values()
        assert member.replay  # 9 MB do not fit into the sockets' buffers
        await until(lambda: client in host.sio.eio.engine._pongs._due)
        await ann.send("3")  # before it has read the ping
        await until(lambda: client not in host.sio.eio.engine._pongs._due)
        while not ann.received:
            await ann.packet()
        await ann.drop()
        await until(gone(host))
        await emit(host, "end")
        await ann.come()
        assert ann.recovered
        await ann.receive("end")
        assert ann.received == [*texts, "end"]


async def test_events_from_another_host_are_freed_at_the_pong(redis: Redis, tmp_path: Path) -> None:
    """Missed events from another host are kept until their arrival is confirmed, and no longer."""
    async with hosts(tmp_path, redis.setting) as running:
        one, other = await running.start(), await running.start()
        async with in_garden(one) as ann:
            await ann.drop()
            await until(gone(one))
            await emit(one, "missed")
            ann.port = other.port
            await ann.come()
            assert ann.recovered
            await ann.receive("missed")
            (member,) = other.sio.manager.rooms["/"].everybody.members.values()
            assert member.replay_point.replayed
            (client,) = other.sio.eio.engine.clients.values()
            other.sio.eio.engine._ping(client)
            await ann.pong()
            await until(lambda: not member.replay_point.replayed)
