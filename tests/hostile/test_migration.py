"""Requests to other hosts for a session are cheap, and dead hosts are not waited for."""

from pathlib import Path
from typing import Any

import pytest

from functions.contract.bus import BusMessageError
from socket_host.app import SocketHost
from socket_host.bus.seen_messages import SeenMessages
from socket_host.transport.native import (
    answer_times,
    migration_requests,
    recovery,
)
from tests.hostile.guests import gone, guest, in_garden
from tests.kit.buses import Redis
from tests.kit.clients import clients
from tests.kit.waiting import until
from tests.socket_host.transport.moving import hosts, move
from tests.socket_host.transport.recovering import emit, visiting


class Killed:
    """A host that was just killed: it is silent, and the others have not noticed yet."""

    def __init__(self, host: SocketHost, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(host.bus.peers, "_announce", lambda word: None)
        patch.setattr(host.bus, "_subscribers", {})


async def test_killed_host_is_not_waited_for(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that does not answer delays the first clients briefly, and later ones not at all."""
    monkeypatch.setattr(migration_requests, "ASK_SECONDS", 3_600)
    async with hosts(tmp_path, redis.setting) as running:
        one, other = await running.start(), await running.start()
        people = [guest(one, name=name) for name in ("Ann", "Bob")]
        for person in people:
            await person.come()
            await person.drop()
        await until(gone(one))
        one.sio.recovery.take_all()
        with monkeypatch.context() as patch:
            Killed(one, patch)
            for person in people:
                person.port = other.port
                await person.come()
                assert not person.recovered
                patch.setattr(answer_times, "_LEAST_SECONDS", 3_600)  # for the second
            for person in people:
                await person.drop()


async def asked(host: SocketHost, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests of a host to the others from now on."""
    said: list[str] = []
    announce = host.bus.announce

    def note(subject: str, body: Any) -> None:
        said.append(subject)
        announce(subject, body)

    monkeypatch.setattr(host.bus, "announce", note)
    return said


@pytest.mark.parametrize("offset", ["x" * 65, "x" * 3_000, 42, {"a": []}])
async def test_offset_is_short(
    offset: Any, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client with an impossible offset gets a new session, without a request to other hosts."""
    async with hosts(tmp_path, redis.setting) as running:
        one, other = await running.start(), await running.start()
        async with in_garden(one) as ann:
            await ann.drop()
            ann.port = other.port
            said = await asked(other, monkeypatch)
            await ann.come(offset=offset)
            assert not ann.recovered
            assert "recovery.ask" not in said


async def test_question_that_cannot_be_asked_is_forgotten(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the bus refuses a request, the client gets a new session, and the request is forgotten."""
    async with hosts(tmp_path, redis.setting) as running:
        one, other = await running.start(), await running.start()
        async with in_garden(one) as ann:
            await ann.drop()

            def refuse(*words: Any) -> None:
                raise BusMessageError

            with monkeypatch.context() as patch:
                patch.setattr(other.bus, "announce", refuse)
                ann.port = other.port
                await ann.come()
            assert not ann.recovered
            assert not other.transport._migration._requests


async def test_one_pid_asks_once(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown pid does not cause repeated requests."""
    async with hosts(tmp_path, redis.setting) as running:
        one, other = await running.start(), await running.start()
        async with in_garden(one) as ann:
            await ann.drop()
            await until(gone(one))
            one.sio.recovery.take_all()
            ann.port, pid = other.port, ann.pid
            said = await asked(other, monkeypatch)
            for _ in range(5):
                ann.pid = pid
                await ann.come()
                assert not ann.recovered
                await ann.drop()
            assert said.count("recovery.ask") == 1


async def test_questions_are_rationed(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If many clients of other hosts connect at once, some get new sessions; none is refused."""
    monkeypatch.setattr(migration_requests, "ASKS_PER_SECOND", 0.001)
    monkeypatch.setattr(migration_requests, "MAX_OPEN", 3)
    async with hosts(tmp_path, redis.setting) as running:
        one, other = await running.start(), await running.start()
        people = [guest(one, name=f"Ann {number}") for number in range(6)]
        for person in people:
            await person.come()
            await person.drop()
        await until(gone(one))
        for person in people:
            person.port = other.port
            await person.come()
        assert [person.recovered for person in people] == [True] * 3 + [False] * 3
        for person in people:
            await person.drop()


async def test_old_pid_asks_nobody(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a pid has expired, only the host that has its session accepts it."""
    async with hosts(tmp_path, redis.setting) as running:
        one, other = await running.start(), await running.start()
        async with in_garden(one) as ann:
            await ann.drop()
            await until(gone(one))
            monkeypatch.setattr(recovery, "PID_SECONDS", -10)
            await ann.come()
            assert ann.recovered
            await ann.drop()
            await until(gone(one))
            ann.port = other.port
            said = await asked(other, monkeypatch)
            await ann.come()
            assert not ann.recovered
            assert "recovery.ask" not in said


async def test_host_restarted_in_place(redis: Redis, tmp_path: Path) -> None:
    """A restarted host gets its clients' sessions from the hosts with its shutdown snapshot."""
    async with hosts(tmp_path, redis.setting) as running, clients("javascript") as people:
        one, other, third = [await running.start() for _ in range(3)]
        async with visiting(one, people) as ann, visiting(one, people, "Bob") as bob:
            await ann.call("keep", "apple")
            sid = await ann.sid()
            await emit(one, "before")
            for visitor in (ann, bob):
                assert await visitor.received("before") == ["before"]
                await visitor.drop()
            await emit(one, "there")
            await running.stop(one)
            await emit(other, "meanwhile")
            await emit(third, "meanwhile too")
            again = await running.start()
            await emit(other, "after")
            for visitor in (ann, bob):
                assert await move(visitor, again)
            await emit(again, "end")
            for visitor in (ann, bob):
                received = await visitor.received()
                assert sorted(received) == sorted(
                    ["there", "meanwhile", "meanwhile too", "after", "end"]
                )
                assert received[0] == "there"
            assert (await ann.sid(), await ann.call("word")) == (sid, "apple")


async def test_odd_session_in_a_shutdown_snapshot(redis: Redis, tmp_path: Path) -> None:
    """A session that is not JSON, a room without a name and a huge event do not affect others."""
    async with hosts(tmp_path, redis.setting) as running:
        one, other = await running.start(), await running.start()
        async with guest(one, name="Bob") as bob, guest(one, name="Ann") as ann:
            await one.namespaces[0].save_session(bob.sid, {"nan": float("nan")})
            one.sio.manager.basic_enter_room(bob.sid, "/", ("a", "b"))
            await bob.drop()
            await ann.drop()
            await until(gone(one))
            for room in (("a", "b"), frozenset(["elsewhere"])):
                await one.namespaces[0].emit("said", "x", room=room, ignore_queue=True)
            await one.namespaces[0].emit("said", "x" * 300_000, room="elsewhere", ignore_queue=True)
            await emit(one, "missed", room=ann.sid)
            await running.stop(one)
            ann.port = bob.port = other.port
            await ann.come()
            await bob.come()
            assert (ann.recovered, bob.recovered) == (True, False)
            await ann.receive("missed")


def test_seen_messages_are_joined() -> None:
    """Two joined SeenMessages have seen what either has seen, and nothing more."""
    one, other = SeenMessages(), SeenMessages()
    for memory, numbers in ((one, (1, 2, 5)), (other, (1, 3, 4))):
        for number in numbers:
            memory.is_new(f"a:{number}")
    other.is_new("b:7")
    one.is_new("far:90000")
    other.is_new("far:1")
    beyond = other.beyond(one, "nobody")
    assert (beyond.has("a:3"), beyond.has("b:7")) == (True, True)
    one.add(other)
    assert [n for n in range(1, 8) if one.has(f"a:{n}")] == [1, 2, 3, 4, 5]
    assert one.has("b:7")
    assert len(other.beyond(one, "nobody")) == 0
