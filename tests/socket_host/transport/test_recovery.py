"""Dropped clients resume where they were: the official client, on every transport."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from socket_host.app import SocketHost
from tests.kit.clients import clients
from tests.kit.hosts import serving, token, url
from tests.kit.waiting import until
from tests.socket_host.transport.recovering import DROP, RETURN, Rooms, emit, visiting


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[SocketHost]:
    async with serving(tmp_path, Rooms, origins=None) as host:
        yield host


@pytest.mark.parametrize("way", ["polling", "websocket", "upgrade"])
async def test_dropped_client_resumes(way: str, host: SocketHost) -> None:
    """Sid, rooms and session are restored, and missed events arrive first, once, in order."""
    async with clients("javascript", way) as people, visiting(host, people) as ann:
        await ann.call("keep", "apple")
        sid = await ann.sid()
        await emit(host, "before")
        assert await ann.received("before") == ["before"]
        await ann.drop()
        await emit(host, "one", "two")
        await emit(host, "elsewhere", room="kitchen")
        await emit(host, "everywhere", room=None)
        await emit(host, "to you", room=sid)
        await emit(host, "not to you", skip_sid=sid)
        assert await ann.back()
        await emit(host, "end")
        assert await ann.received() == ["one", "two", "everywhere", "to you", "end"]
        assert await ann.sid() == sid
        assert await ann.call("word") == "apple"
        assert host.namespaces[0].came == [("connect", sid), ("recover", sid)]  # type: ignore[attr-defined]


async def test_nothing_before_the_drop(host: SocketHost) -> None:
    """A client that had received no event is recovered too, and gets all since it connected."""
    await emit(host, "too early", room=None)
    async with clients("javascript") as people, visiting(host, people) as ann:
        await ann.drop()
        await emit(host, "one")
        assert await ann.back()
        await emit(host, "end")
        assert await ann.received() == ["one", "end"]


async def test_second_drop(host: SocketHost) -> None:
    """A client that drops again during or after a replay is recovered again."""
    async with clients("javascript") as people, visiting(host, people) as ann:
        for number in range(3):
            await ann.drop()
            await emit(host, f"missed {number}")
            assert await ann.back()
        await ann.drop()
        assert await ann.back()
        await emit(host, "end")
        assert await ann.received() == ["missed 0", "missed 1", "missed 2", "end"]


async def test_drop_in_the_middle_of_what_was_missed(host: SocketHost) -> None:
    """A client that drops during a replay gets the rest of it the next time."""
    hold = "socket.io.engine.transport.ws._socket.pause()"
    async with clients("javascript") as people, visiting(host, people) as ann:
        await ann.drop()
        await emit(host, "one", "two", "three")
        # Drops as soon as it has received the first one.
        await ann.client.script(
            "socket.once('said', () => socket.io.engine.transport.ws.terminate());socket.connect()"
        )
        await ann.client.receive("connect")
        await ann.client.receive("disconnect")
        await emit(host, "four")
        await until(lambda: not host.transport.connections())
        assert await ann.back()
        await ann.client.script(hold)
        await emit(host, "five")
        await ann.client.script("socket.io.engine.transport.ws.terminate()")
        await ann.client.receive("disconnect")
        assert await ann.back()
        await emit(host, "end")
        assert await ann.received() == ["one", "two", "three", "four", "five", "end"]


async def test_event_right_before_the_end(host: SocketHost) -> None:
    """An event right before the connection is closed arrives once, by polling too."""
    async with clients("javascript", "polling") as people, visiting(host, people) as ann:
        engine = host.sio.eio.engine
        (ann_there,) = engine.clients.values()
        await until(lambda: ann_there.poll)
        await emit(host, "last")
        engine.close(ann_there, "server disconnect")
        await ann.client.receive("disconnect")
        assert await ann.back()
        await emit(host, "end")
        assert await ann.received() == ["last", "end"]


async def test_room_entered_late(host: SocketHost) -> None:
    """Events from before a client entered a room are not sent as missed."""
    async with clients("javascript") as people, visiting(host, people) as ann:
        await emit(host, "before", room="kitchen")
        await ann.call("enter", "kitchen")
        await ann.drop()
        await emit(host, "after", room="kitchen")
        assert await ann.back()
        await emit(host, "end")
        assert await ann.received() == ["after", "end"]


async def test_resumed_before_the_drop_is_noticed(host: SocketHost) -> None:
    """A client whose old connection still seems to be open gets its session."""
    async with clients("javascript") as people, visiting(host, people) as ann:
        sid = await ann.sid()
        # As if the network changed: nothing arrives any more, and nothing is closed.
        await ann.client.script(
            "const ws = socket.io.engine.transport.ws; ws._socket.pause();"
            "ws.close = () => ws.emit('close', 1006, Buffer.alloc(0)); socket.io.engine.close()"
        )
        await ann.client.receive("disconnect")
        await emit(host, "one")
        assert len(host.transport.connections()) == 1
        assert await ann.back()
        await emit(host, "end")
        assert await ann.received() == ["one", "end"]
        assert await ann.sid() == sid
        assert len(host.transport.connections()) == 1


async def test_binary_is_recovered(host: SocketHost) -> None:
    """An event with attachments is replayed completely."""
    async with clients("javascript") as people, visiting(host, people) as ann:
        await ann.drop()
        await host.namespaces[0].emit("bytes", {"data": b"\x00\xff"}, room="garden")
        await ann.client.script(
            "socket.on('bytes', (b) => socket.emit('say', 'garden', b.data.toString('hex')))"
        )
        assert await ann.back()
        assert await ann.client.receive("said") == "00ff"


@pytest.mark.parametrize(
    "pid", ["socket._pid", "socket.id + '.forged'", "'é'", "'x'.repeat(300)", "42", "socket.id"]
)
async def test_only_the_owner_can_resume(pid: str, host: SocketHost) -> None:
    """Another visitor does not get a client's session, whatever pid it sends."""
    async with clients("javascript") as people, visiting(host, people) as ann:
        sid, stolen = await ann.sid(), await ann.client.script(f"return {pid}")
        await ann.drop()
        async with visiting(host, people, "Eve", auth={"pid": stolen}) as eve:
            assert await eve.sid() != sid
            assert not await eve.client.script("return !!socket.recovered")
        assert await ann.back()


async def test_no_recovery_after_a_disconnect(host: SocketHost) -> None:
    """A client that disconnected, or was disconnected, gets a new session."""
    async with clients("javascript") as people, visiting(host, people) as ann:
        await ann.client.script("socket.disconnect()")
        await ann.client.receive("disconnect")
        await until(lambda: not host.transport.connections())
        assert not await ann.back()
        await host.namespaces[0].disconnect(await ann.sid())
        await ann.client.receive("disconnect")
        assert not await ann.back()


async def test_too_late(tmp_path: Path) -> None:
    """A client that returns too late gets `recovered` false and a new sid."""
    async with (
        serving(tmp_path, Rooms, origins=None, recovery_seconds=0.1) as host,
        clients("javascript") as people,
        visiting(host, people) as ann,
    ):
        await ann.drop()
        recovery = host.sio.recovery
        await until(lambda: not recovery._disconnected)
        assert not await ann.back()


async def test_replay_buffer_is_bounded(host: SocketHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the newest events are kept; a client that has missed more is not recovered."""
    monkeypatch.setattr("socket_host.transport.native.replay_buffer.MAX_ENTRIES", 5)
    async with clients("javascript") as people, visiting(host, people) as ann:
        for count, recovered in ((5, True), (6, False)):
            await ann.drop()
            await emit(host, *map(str, range(count)))
            assert await ann.back() is recovered
        assert len(list(host.sio.recovery.replay_buffer)) == 5


async def test_dropped_are_bounded(host: SocketHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the newest dropped sessions are kept."""
    monkeypatch.setattr("socket_host.transport.native.recovery.MAX_DROPPED", 1)
    async with (
        clients("javascript") as people,
        visiting(host, people) as ann,
        visiting(host, people, "Bob") as bob,
    ):
        await ann.drop()
        await bob.drop()
        await until(lambda: not host.transport.connections())
        assert await bob.back()
        assert not await ann.back()


async def test_off(tmp_path: Path) -> None:
    """With RECOVERY_SECONDS=0 events have no offset, and no client is recovered."""
    async with (
        serving(tmp_path, Rooms, origins=None, recovery_seconds=0) as host,
        clients("javascript") as people,
        visiting(host, people) as ann,
    ):
        values = "return new Promise((r) => socket.on('said', (...values) => r(values)))"
        received = asyncio.create_task(ann.client.script(values))
        await ann.call("say", "garden", "hello")
        assert await received == ["hello"]
        await ann.drop()
        assert not await ann.back()


class Volatile(Rooms):
    """Emits volatile events."""

    volatile = frozenset({"whispered"})

    async def on_whisper(self, sid: str, text: str) -> None:
        await self.emit("whispered", text, room="garden")


async def test_volatile_events_are_not_kept(tmp_path: Path) -> None:
    """A volatile event is not replayed, and does not prevent recovery."""
    async with (
        clients("javascript") as people,
        serving(tmp_path, Volatile, transport="fast") as host,
        visiting(host, people) as ann,
        visiting(host, people, "Bob") as bob,
    ):
        await bob.call("say", "garden", "one")
        await bob.call("whisper", "heard")
        assert await ann.client.receive("whispered") == "heard"
        await ann.drop()
        await bob.call("whisper", "unheard")
        await bob.call("say", "garden", "end")
        assert await ann.back()
        assert await ann.received() == ["one", "end"]
        await bob.call("whisper", "last")
        assert await ann.client.receive("whispered") == "last"
        await ann.drop()
        assert await ann.back()


async def test_draft_is_sent_after_recovery(tmp_path: Path) -> None:
    """A recovered client gets the room's current draft, whose changes are volatile."""
    javascript = clients("javascript")
    async with javascript as people, serving(tmp_path, transport="fast") as host:
        ann = await people.connect(url(host), token("Ann"), reconnection=False)
        bob = await people.connect(url(host), token("Bob"))
        await bob.call("message", {"id": "1", "text": "hello"})
        await ann.receive("message")
        await ann.script(DROP)
        await ann.receive("disconnect")
        await bob.call("draft", "while you were away")
        assert await ann.script(RETURN)
        assert await ann.receive("drafted") == "while you were away"


class Light(Rooms):
    """Sends a recovered client the state of the light."""

    volatile = frozenset({"light"})

    async def on_recover(self, sid: str) -> None:
        await self.emit("light", True, room=sid)


async def test_emits_of_on_recover(tmp_path: Path) -> None:
    """Emits of `on_recover`, even volatile ones, arrive after the missed events."""
    async with (
        serving(tmp_path, Light, origins=None) as host,
        clients("javascript") as people,
        visiting(host, people) as ann,
    ):
        await ann.drop()
        await emit(host, "missed")
        assert await ann.back()
        assert await ann.client.receive("light") is True
        assert ann.client.inbox.order[-2:] == ["said", "light"]
