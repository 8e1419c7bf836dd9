"""What clients leave behind when they drop, and what they missed, is bounded in bytes."""

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
    """Clients that missed much cost nothing but references, back, gone again and back again."""
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
                one.heard.clear()
                await one.receive(texts[number])
                offsets.append(one.offset)
                await one.receive("end")
                assert len([text for text in one.heard if text == "end"]) == 1
            assert host.rss() - before < 20 * MB
            for one, offset in zip(people, offsets, strict=True):
                one.offset = offset  # as if nothing else had arrived
                await one.drop()
            assert host.rss() - before < 20 * MB


async def test_replays_that_nobody_reads_wait_in_the_journal(tmp_path: Path) -> None:
    """Of what a client missed, no more than a piece waits for it to read."""
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
    """Wait until a host has nothing more to do."""
    async with asyncio.timeout(PATIENCE):
        used = -1.0
        while host.cpu() - used > 0.01:
            used = host.cpu()
            await asyncio.sleep(0.2)


async def test_what_clients_leave_is_bounded_in_bytes(
    host: SocketHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of clients that leave much behind the last may come back; who leaves too much may not."""
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


def estate_of(size: int, offset: str | None = None) -> list[dict[str, Any]]:
    """What a host leaves that has said so many bytes to one client."""
    left = ReplayBuffer(1_000)
    client = DisconnectedSession("/", "ann", {}, None, ReplayPoint(0, offset))
    for _ in range(size // 1_000):
        left.add(
            Message.of(f'42["said","{"x" * 1_000}","{left.next_offset()}"]'), "/", None, [], None
        )
    return list(pieces(left, [client], {}))


async def test_inheritances_are_bounded(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what hosts leave, a host keeps the last, up to a limit in bytes."""
    monkeypatch.setattr(migration, "MAX_SNAPSHOT_BYTES", 500_000)
    async with serving(tmp_path, Rooms, origins=None, bus=redis.setting) as host:
        handed = host.transport._migration
        for number in range(5):
            for piece in estate_of(100_000):
                handed._on_snapshot(f"host {number}", piece)
        assert 0 < sum(snapshot.size for snapshot in handed._snapshots.values()) <= 500_000
        assert "host 4" in handed._snapshots


@on_both
async def test_quiet_client_is_recovered(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that heard nothing while others had more than the journal holds is recovered."""
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
        assert ann.heard == ["end"]


async def test_quiet_for_longer_than_the_window(tmp_path: Path) -> None:
    """A client that has not been pinged for longer than it may be away is recovered."""
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


async def test_a_pong_proves_nothing_of_what_comes_after_its_ping(tmp_path: Path) -> None:
    """What is still to be sent again when a ping goes out is not taken for having arrived."""
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
        assert member.replay  # 9 MB are more than the sockets take
        await until(lambda: client in host.sio.eio.engine._pongs._due)
        await ann.send("3")  # before it has come to the ping
        await until(lambda: client not in host.sio.eio.engine._pongs._due)
        while not ann.heard:
            await ann.packet()
        await ann.drop()
        await until(gone(host))
        await emit(host, "end")
        await ann.come()
        assert ann.recovered
        await ann.receive("end")
        assert ann.heard == [*texts, "end"]


async def test_what_was_brought_from_another_host_is_let_go_at_the_pong(
    redis: Redis, tmp_path: Path
) -> None:
    """What a client missed elsewhere is kept for it until it surely has it, and no longer."""
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
