"""A client that drops goes on at another host, and when all hosts are replaced."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from functions.contract.bus import ANNOUNCEMENT, encode
from socket_host.app import SocketHost
from socket_host.bus.schema import fault
from socket_host.bus.seen_messages import SeenMessages
from socket_host.bus.shared import SharedBus
from socket_host.transport.native import migration_requests, shutdown_snapshot
from socket_host.transport.native.message import Message
from socket_host.transport.native.recovery import DisconnectedSession, ReplayPoint
from socket_host.transport.native.replay_buffer import ReplayBuffer
from tests.kit import buses
from tests.kit.buses import Redis
from tests.kit.clients import clients
from tests.kit.waiting import until
from tests.socket_host.transport.moving import hosts, move
from tests.socket_host.transport.recovering import Visitor, emit, visiting


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    """A Redis that runs."""
    async with buses.redis(tmp_path) as server:
        yield server


@pytest.fixture
async def bus(kind: str, tmp_path: Path) -> AsyncIterator[str]:
    """The setting of a bus of a kind."""
    if kind == "sns":
        with buses.aws():
            yield buses.topic()
    else:
        async with buses.redis(tmp_path) as server:
            yield server.setting


@pytest.mark.parametrize(
    ("kind", "way"), [("redis", "polling"), ("redis", "websocket"), ("sns", "websocket")]
)
async def test_back_at_another_host(way: str, bus: str, tmp_path: Path) -> None:
    """Sid, rooms, session and what was missed come along, wherever it was said, and again back."""
    async with hosts(tmp_path, bus) as running, clients("javascript", way) as people:
        one, other = await running.start(), await running.start()
        async with visiting(one, people) as ann:
            await ann.call("keep", "apple")
            sid = await ann.sid()
            await emit(one, "a")
            await emit(other, "b")
            heard = {await ann.client.receive("said"), await ann.client.receive("said")}
            assert heard == {"a", "b"}
            await ann.drop()
            await emit(one, "from one")
            await emit(other, "from the other")
            assert await move(ann, other)
            await emit(one, "live")
            assert set(await ann.heard("live")) == {"from one", "from the other", "live"}
            assert (await ann.sid(), await ann.call("word")) == (sid, "apple")
            await ann.drop()
            assert await move(ann, one)
            await ann.drop()
            await emit(other, "end")
            assert await move(ann, one)
            assert await ann.heard() == ["end"]
            assert one.namespaces[0].came[-1] == ("recover", sid)  # type: ignore[attr-defined]


async def test_back_while_the_old_host_ends(redis: Redis, tmp_path: Path) -> None:
    """A client that was away while its host was stopped has its state from what that host left."""
    async with hosts(tmp_path, redis.setting) as running, clients("javascript") as people:
        one = await running.start()
        await emit(one, *map(str, range(10)))  # so that its journal is longer than the other's
        async with visiting(one, people) as ann:
            other = await running.start()
            sid = await ann.sid()
            await emit(one, "before")
            assert await ann.heard("before") == ["before"]
            await ann.drop()
            await emit(one, "missed there")
            await running.stop(one)
            await emit(other, "missed here")
            assert await move(ann, other)
            await emit(other, "end")
            assert await ann.heard() == ["missed there", "missed here", "end"]
            assert await ann.sid() == sid


async def test_rolling_restart(redis: Redis, tmp_path: Path) -> None:
    """While all hosts are replaced, new before old, connected clients go on, and miss nothing."""
    async with hosts(tmp_path, redis.setting) as running, clients("javascript") as people:
        old = [await running.start(), await running.start()]
        async with visiting(old[0], people) as ann:
            sid = await ann.sid()
            for number, host in enumerate(old):
                new = await running.start()
                await emit(new, f"before {number}")
                assert await ann.heard(f"before {number}") == [f"before {number}"]
                await running.stop(host)
                await ann.client.receive("disconnect")
                await emit(new, f"meanwhile {number}")
                assert await move(ann, old[1] if number == 0 else new)
                await emit(new, f"after {number}")
                heard = await ann.heard(f"after {number}")
                assert heard == [f"meanwhile {number}", f"after {number}"]
            assert await ann.sid() == sid


async def forgotten(visitor: Visitor, host: SocketHost) -> None:
    """Have a client drop, and its host know nothing of it any more."""
    await visitor.drop()
    await until(lambda: not host.transport.connections())
    host.sio.recovery.take_all()


async def test_old_host_was_killed(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that nobody knows any more is told so as soon as all hosts have answered."""
    monkeypatch.setattr(SharedBus, "ANSWER_SECONDS", 0)
    monkeypatch.setattr(migration_requests, "ASK_SECONDS", 3_600)
    async with hosts(tmp_path, redis.setting) as running, clients("javascript") as people:
        one, other = await running.start(), await running.start()
        async with visiting(one, people) as ann:
            await forgotten(ann, one)
            assert not await move(ann, other)


async def test_nobody_answers(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hosts that do not answer keep no client waiting for long."""
    monkeypatch.setattr(migration_requests, "ASK_SECONDS", 0.1)
    async with hosts(tmp_path, redis.setting) as running, clients("javascript") as people:
        one, other = await running.start(), await running.start()
        monkeypatch.setattr(one.sio.recovery, "resume", lambda *_: asyncio.sleep(1_000))
        async with visiting(one, people) as ann:
            await ann.drop()
            assert not await move(ann, other)


async def test_back_at_a_newcomer(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that has just started, and knows no other yet, asks all the same."""
    async with hosts(tmp_path, redis.setting) as running, clients("javascript") as people:
        one = await running.start()
        async with visiting(one, people) as ann:
            await ann.drop()
            await emit(one, "missed")
            monkeypatch.setattr(one.bus.peers, "_announce", lambda word: None)
            newcomer = await running.start_unknown()
            assert await move(ann, newcomer)
            assert not newcomer.bus.peers
            await emit(newcomer, "end")
            assert await ann.heard() == ["missed", "end"]


async def test_answer_of_a_late_acquaintance_is_awaited(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the others a newcomer waits also for one that it gets to know after it has asked."""
    monkeypatch.setattr(SharedBus, "ANSWER_SECONDS", 0.5)
    async with hosts(tmp_path, redis.setting) as running, clients("javascript") as people:
        one = await running.start()
        gate, resume = asyncio.Event(), one.sio.recovery.resume

        async def resume_late(*client: str) -> Any:
            await gate.wait()
            return await resume(*client)

        async with visiting(one, people) as ann:
            await ann.drop()
            with monkeypatch.context() as silent:
                silent.setattr(one.bus.peers, "_announce", lambda word: None)
                silent.setattr(one.sio.recovery, "resume", resume_late)
                newcomer = await running.start_unknown()
                moving = asyncio.create_task(move(ann, newcomer))
                await until(lambda: newcomer.transport._migration._requests)
            one.bus.peers._announce("alive")
            await until(lambda: newcomer.bus.peers and not newcomer.bus.peers.strangers_for())
            gate.set()
            assert await moving


async def test_newcomer_that_is_alone_says_no(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that nobody knows hears so as soon as the others would have been there."""
    monkeypatch.setattr(SharedBus, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(migration_requests, "ASK_SECONDS", 3_600)
    async with hosts(tmp_path, redis.setting) as running, clients("javascript") as people:
        host = await running.start()
        async with visiting(host, people) as ann:
            await forgotten(ann, host)
            assert not await ann.back()


async def test_what_arrives_late_is_not_sent_twice(redis: Redis, tmp_path: Path) -> None:
    """What a client has had at the old host it does not get when the new one hears it later."""
    async with hosts(tmp_path, redis.setting) as running, clients("javascript") as people:
        one, other = await running.start(), await running.start()
        async with visiting(one, people) as ann:
            await emit(one, "first")
            assert await ann.heard("first") == ["first"]
            await ann.drop()
            # As if a third host's messages up to the fifth had reached the first host only.
            one.bus._seen._had["third"] = (5, 0b11111)
            assert await move(ann, other)
            for number in (4, 5, 6):
                message = {
                    "method": "emit",
                    "event": "said",
                    "data": [f"third {number}"],
                    "namespace": "/",
                    "room": "garden",
                    "host_id": "third",
                    "message_id": f"third:{number}",
                }
                await other.sio.manager.apply(message)
            await emit(other, "end")
            assert await ann.heard() == ["third 6", "end"]
            # And after a drop it does not get them either.
            await ann.drop()
            assert await ann.back()
            await emit(other, "end")
            assert await ann.heard() == ["end"]


async def test_large_estate(redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a host leaves goes over the bus in pieces."""
    monkeypatch.setattr(shutdown_snapshot, "_PIECE", 1_000)
    async with hosts(tmp_path, redis.setting) as running, clients("javascript") as people:
        one, other = await running.start(), await running.start()
        async with visiting(one, people) as ann, visiting(one, people, "Bob") as bob:
            texts = [f"{number} {'x' * 200}" for number in range(50)]
            for visitor in (ann, bob):
                await visitor.drop()
            await until(lambda: not one.transport.connections())
            await emit(one, *texts)
            await running.stop(one)
            for visitor in (ann, bob):
                assert await move(visitor, other)
            await emit(other, "end")
            assert await ann.heard() == [*texts, "end"]
            assert await bob.heard() == [*texts, "end"]


def snapshot_pieces(*emits: dict[str, Any]) -> list[dict[str, Any]]:
    """The pieces of a host with these events, of which a client has missed all but the first."""
    left = ReplayBuffer(1_000)
    for one in emits:
        message = Message.of(f'42["said","{left.next_offset()}"]')
        left.add(message, "/", one.get("room"), one.get("skipped", ()), None)
    ann = DisconnectedSession("/", "ann", {}, None, ReplayPoint(1))
    bob = DisconnectedSession("/", "bob", {"x" * 2_000: 0, True: 0}, None, ReplayPoint(0))
    return list(shutdown_snapshot.pieces(left, [ann, bob], {}))


@pytest.mark.parametrize("lost", [None, 0, 1, 2, 4])
async def test_piece_that_is_lost(lost: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose missed events, from the second on, did not all arrive is not recovered."""
    monkeypatch.setattr(shutdown_snapshot, "_PIECE", 1)
    snapshot = shutdown_snapshot.ShutdownSnapshot(0)
    pieces = snapshot_pieces(*[{}] * 5)
    for number, piece in enumerate(pieces):
        if number != lost:
            snapshot.add(piece)
    found = snapshot.take(("/", "ann"), None)
    assert (found is None) == (lost not in (None, 0))
    if found:
        assert [sent.offset.rpartition(".")[2] for sent in found[2]] == list("2345")


async def test_snapshot_is_accepted_by_other_hosts() -> None:
    """Names that no host accepts cost neither the other events nor the other sessions."""
    names = [f"{number:0100}" for number in range(1_000)]
    snapshot = shutdown_snapshot.ShutdownSnapshot(0)
    for piece in snapshot_pieces({"room": "x" * 2_000}, {"room": names}, {"skipped": names}, {}):
        message = {
            "method": ANNOUNCEMENT,
            "subject": "recovery.estate",
            "host_id": "h",
            "body": piece,
        }
        assert not fault(json.loads(encode(message, "h:1")))
        snapshot.add(piece)
    assert ("/", "ann") in snapshot
    assert ("/", "bob") not in snapshot
    assert snapshot.take(("/", "ann"), None) is None  # one of the events may have been for it


async def test_session_that_was_ended_meanwhile(redis: Redis, tmp_path: Path) -> None:
    """A visitor who was sent away while their client was gone cannot resume, at any host."""
    async with hosts(tmp_path, redis.setting) as running, clients("javascript") as people:
        one, other = await running.start(), await running.start()
        async with (
            visiting(one, people) as ann,
            visiting(one, people, "Bob") as bob,
            visiting(one, people, "Eve") as eve,
        ):
            for host in (one, other):
                for visitor in (ann, bob):
                    await visitor.drop()
                other.namespaces[0].disconnect_visitor("ann")
                await emit(other, "end")
                await eve.heard()  # so the first host knows, too
                assert not await move(ann, host)
                assert await move(bob, host)


def test_memory_can_be_told() -> None:
    """A snapshot of a memory knows what the memory knows."""
    memory = SeenMessages()
    for number in (1, 2, 4, 7):
        memory.is_new(f"a:{number}")
    memory.is_new("b:9")
    copy = SeenMessages.of(memory.snapshot())
    known = [n for n in range(1, 10) if copy.has(f"a:{n}")]
    assert known == [1, 2, 4, 7]
    assert copy.has("b:9")
    assert not copy.has("b:10")
    assert not copy.has("c:1")
    assert dict(copy.highest()) == {"a": 7, "b": 9}
