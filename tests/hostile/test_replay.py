"""A replay keeps the order, reaches clients that read, and ends."""

import contextlib
from typing import Any

import pytest

from socket_host.app import SocketHost
from socket_host.transport.native import (
    replay_buffer,
)
from socket_host.transport.native.message import Message
from socket_host.transport.native.replay_buffer import MAX_BYTES, Entry, ReplayBuffer
from tests.hostile.guests import Guest, gone, guest, in_garden, on_both
from tests.kit.waiting import until
from tests.socket_host.transport.recovering import emit


@on_both
async def test_much_missed_in_a_moment(way: str, host: SocketHost) -> None:
    """A client gets all missed events, even above the limit for slow clients, then live ones."""
    async with in_garden(host, way) as ann:
        await ann.drop()
        await until(gone(host))
        texts = [f"{number} {'x' * 50_000}" for number in range(60)]
        await emit(host, *texts)
        await ann.come()
        assert ann.recovered
        await emit(host, "live", "end")
        await ann.receive("end")
        assert ann.received == [*texts, "live", "end"]
        assert not host.transport.closed()


async def test_order_is_kept_behind_a_replay(host: SocketHost) -> None:
    """Acks and live events follow the missed events, in order."""
    async with in_garden(host) as ann:
        await ann.drop()
        await until(gone(host))
        texts = [f"{number} {'x' * 90_000}" for number in range(60)]
        await emit(host, *texts)
        await ann.come()
        await ann.send('427["say","garden","mine"]')
        (member,) = host.sio.manager.rooms["/"].everybody.members.values()
        await until(lambda: member.held)
        await emit(host, "end")
        order: list[str] = []
        while not ann.received or ann.received[-1] != "end":
            order.append((await ann.packet())[:4])
        assert ann.received == [*texts, "mine", "end"]
        assert order[-2:] == ["437[", '42["']


@on_both
async def test_event_that_ends_the_connection_is_not_repeated_forever(
    way: str, host: SocketHost
) -> None:
    """A client that disconnects on a replayed event gets a new session the next time."""
    async with in_garden(host, way) as ann:
        await ann.drop()
        await until(gone(host))
        await emit(host, "poison")
        recovered = 0
        for _ in range(10):
            offset = ann.offset
            await ann.come()
            if not ann.recovered:
                break
            recovered += 1
            await ann.receive("poison")
            ann.offset = offset
            ann.received.clear()
            await ann.drop()
            await until(gone(host))
        assert recovered == 1
        assert not ann.recovered


async def test_idle_client_may_drop_as_often_as_it_likes(host: SocketHost) -> None:
    """Attempts to resume are not counted for a client that missed nothing."""
    async with in_garden(host) as ann:
        for _ in range(8):
            await ann.drop()
            await until(gone(host))
            await emit(host, "elsewhere", room="kitchen")
            await ann.come()
            assert ann.recovered


async def test_event_evicted_during_a_replay(
    host: SocketHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that reads more slowly than events are evicted is closed, and then starts again."""
    async with in_garden(host) as ann:
        await ann.drop()
        await until(gone(host))
        await emit(host, *["x" * 90_000] * 100)
        await ann.come()
        assert ann.recovered
        monkeypatch.setattr(replay_buffer, "MAX_ENTRIES", 5)
        await emit(host, *map(str, range(10)))
        assert not await stays_recovered(ann)
        await ann.drop()
        await until(gone(host))
        await ann.come()
        assert not ann.recovered


async def test_drop_right_after_a_new_session(host: SocketHost) -> None:
    """A client with a new session, but an old offset of another host, recovers."""
    async with in_garden(host) as ann:
        await ann.drop()
        await until(gone(host))
        host.sio.recovery.take_all()
        ann.offset = "otherhost.57"
        await ann.come()
        assert not ann.recovered
        await ann.drop()
        await until(gone(host))
        await ann.come()
        assert ann.recovered


async def test_event_that_is_too_large_to_keep(
    host: SocketHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that is too large to keep prevents only its recipients' recovery."""
    monkeypatch.setattr(replay_buffer, "LARGEST", 100_000)
    async with in_garden(host) as ann, guest(host, name="Bob") as bob:
        await emit(host, "small")
        for one in (ann, bob):
            await one.drop()
        await until(gone(host))
        await emit(host, "x" * 200_000)
        await ann.come()
        await bob.come()
        assert bob.recovered
        assert not await stays_recovered(ann)


async def stays_recovered(one: Guest) -> bool:
    """Whether a client that has connected is recovered, and not closed right afterwards."""
    if not one.recovered:
        return False
    await one.send('428["word"]')
    try:
        while not (await one.packet()).startswith("438"):
            pass
    except ConnectionError:
        return False
    return True


async def test_caller_may_change_its_lists(host: SocketHost) -> None:
    """An emit uses its arguments as they were, even if the caller changes its lists later."""
    async with in_garden(host) as ann:
        await ann.drop()
        await until(gone(host))
        skipped, rooms = [ann.sid], ["garden"]
        await host.namespaces[0].emit("said", "not to you", room="garden", skip_sid=skipped)
        await host.namespaces[0].emit("said", "to you", room=rooms)
        skipped.clear()
        rooms[:] = ["kitchen"]
        await emit(host, "end")
        await ann.come()
        await ann.receive("end")
        assert ann.received == ["to you", "end"]


async def test_invalid_room(host: SocketHost) -> None:
    """An event for an invalid room does not prevent any client's recovery."""
    async with in_garden(host) as ann:
        await ann.drop()
        await until(gone(host))
        for room in ({"a": 1}, [["garden"]], [{}]):
            with contextlib.suppress(TypeError):
                await emit(host, "nobody", room=room)  # type: ignore[arg-type]
        await emit(host, "end")
        await ann.come()
        assert ann.recovered
        await ann.receive("end")
        assert ann.received == ["end"]


async def test_names_count_in_the_replay_buffer() -> None:
    """Names of rooms and skipped clients count in the buffer, and are freed with the event."""
    replay_buffer = ReplayBuffer(3_600)
    rooms, skipped = ["r" * 1_000] * 60, ["s" * 1_000] * 60
    for _ in range(2 * MAX_BYTES // 120_000):
        replay_buffer.add(Message.of('42["news"]'), "/", rooms, skipped, None)
    assert len(list(replay_buffer)) * 120_000 <= MAX_BYTES
    assert replay_buffer.size <= MAX_BYTES


async def test_search_for_what_was_missed(
    host: SocketHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events for other rooms are skipped, since a client may have any number of them searched."""
    looked, concerns = 0, Entry.concerns

    def counted(*args: Any) -> bool:
        nonlocal looked
        looked += 1
        return concerns(*args)

    monkeypatch.setattr(Entry, "concerns", counted)
    async with in_garden(host) as ann:
        await ann.drop()
        await until(gone(host))
        await emit(host, "first")
        for number in range(5_000):
            host.sio.manager.emit_now("said", number, "/", "kitchen")
        await emit(host, "last")
        await ann.come()
        await ann.receive("last")
        assert ann.received == ["first", "last"]
        assert looked < 10
