"""Whoever drops and comes back costs the host little, hurts nobody, and is never kept waiting."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest

from functions.contract.bus import LOOPBACK_PATH, BusMessageError, encode_emit, loopback_token
from socket_host.app import SocketHost
from socket_host.bus.seen_messages import SeenMessages
from socket_host.transport.native import (
    answer_times,
    connecting,
    recovery,
    replay_buffer,
)
from socket_host.transport.native import session_migration as migration
from socket_host.transport.native.message import Message
from socket_host.transport.native.recovery import DisconnectedSession, ReplayPoint
from socket_host.transport.native.replay_buffer import MAX_BYTES, ReplayBuffer
from socket_host.transport.native.shutdown_snapshot import pieces
from tests.hostile.victim import Victim, victim
from tests.kit import buses
from tests.kit.buses import Redis, until
from tests.kit.clients import clients
from tests.kit.hosts import SECRET, serving, token
from tests.kit.protocol_client import PATIENCE, SEPARATOR, frame, raw
from tests.socket_host.transport.test_recovery import Rooms, emit, visiting
from tests.socket_host.transport.test_session_migration import hosts, move

MB = 1024 * 1024

on_both = pytest.mark.parametrize("way", ["websocket", "polling"])


class Guest:
    """A client that a test drops and brings back; it pongs, and notes what it hears."""

    def __init__(self, port: int, way: str, auth: dict[str, Any]) -> None:
        self.port = port
        self.auth = auth
        self.pid: str | None = None
        self.offset: str | None = None
        self.sid = ""
        self.recovered = False
        self.heard: list[Any] = []  # first values of events
        self._way = _Websocket if way == "websocket" else _Poll
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self.come()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.drop()

    async def come(self, **claim: Any) -> None:
        """Connect; with its pid and offset if it has been here before."""
        self._line = await self._stack.enter_async_context(self._way.open(self.port))
        if self.pid:
            offset = {} if self.offset is None else {"offset": self.offset}
            claim = {"pid": self.pid} | offset | claim
        await self.send("40" + json.dumps(self.auth | claim))
        while not (packet := await self.packet()).startswith("40"):
            assert not packet.startswith("44"), packet
        welcome = json.loads(packet[2:])
        self.recovered = welcome["pid"] == self.pid
        self.pid, self.sid = welcome["pid"], welcome["sid"]

    async def drop(self) -> None:
        await self._stack.aclose()

    async def send(self, packet: str) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._line.send(packet)

    async def packet(self) -> str:
        """Read the next packet, ping or not; raise ConnectionError at the end."""
        async with asyncio.timeout(PATIENCE):
            packet = await self._line.packet()
        if packet.startswith("42["):
            _, *values = json.loads(packet[2:])
            self.heard.append(values[0])
            self.offset = values[-1]
        return packet

    async def receive(self, last: Any) -> None:
        """Read on, and answer pings, until something was heard."""
        while last not in self.heard[-1:]:
            if await self.packet() == "2":
                await self.send("3")

    async def pong(self) -> None:
        """Read up to the next ping, and answer it."""
        while await self.packet() != "2":
            pass
        await self.send("3")


class _Websocket:
    def __init__(self, line: Any) -> None:
        self._line = line

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int) -> AsyncIterator[Self]:
        async with raw(port) as line:
            await line.upgrade()
            yield cls(line)

    async def send(self, packet: str) -> None:
        self._line.send(frame(packet.encode()))

    async def packet(self) -> str:
        try:
            opcode, payload = await self._line.frame()
        except asyncio.IncompleteReadError:
            raise ConnectionError from None
        if opcode == 8:
            raise ConnectionError
        return str(payload, "utf-8")


class _Poll:
    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url
        self._packets: list[str] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int) -> AsyncIterator[Self]:
        url = f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling"
        async with aiohttp.ClientSession(headers={"Accept-Encoding": "identity"}) as http:
            async with http.get(url) as answer:
                sid = json.loads((await answer.text())[1:])["sid"]
            line = cls(http, f"{url}&sid={sid}")
            yield line
            await line.send("1")

    async def send(self, packet: str) -> None:
        async with self._http.post(self._url, data=packet):
            pass

    async def packet(self) -> str:
        while not self._packets:
            async with self._http.get(self._url) as answer:
                if answer.status != 200:
                    raise ConnectionError
                self._packets = (await answer.text()).split(SEPARATOR)
        return self._packets.pop(0)


def guest(host: SocketHost | Victim, way: str = "websocket", name: str = "Ann") -> Guest:
    return Guest(host.port, way, {"session": token(name)})


@asynccontextmanager
async def in_garden(host: SocketHost, way: str = "websocket") -> AsyncIterator[Guest]:
    """A guest in the room `garden` of a host with Rooms."""
    async with guest(host, way) as ann:
        await ann.send('421["enter","garden"]')
        while await ann.packet() != "431[]":
            pass
        yield ann


async def tell(host: Victim, texts: list[str]) -> None:
    """Have everybody in the plaza told something, as a function does."""
    headers = {"Authorization": f"Bearer {loopback_token(SECRET)}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        for number, text in enumerate(texts):
            body = encode_emit("said", text, room="plaza", sender=f"function{id(texts)}-{number}")
            async with http.post(host.url + LOOPBACK_PATH, data=body) as answer:
                assert answer.status < 300, await answer.text()


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[SocketHost]:
    async with serving(tmp_path, Rooms, origins=None) as host:
        yield host


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    async with buses.redis(tmp_path) as server:
        yield server


def gone(host: SocketHost) -> Callable[[], bool]:
    return lambda: not host.transport.connections()


# Memory


@on_both
async def test_missed_events_are_not_copied(way: str, tmp_path: Path) -> None:
    """Clients that missed much cost nothing but references, back, gone again and back again."""
    async with victim(tmp_path, MAX_CONNECTIONS="500") as host, AsyncExitStack() as stack:
        people = [guest(host, way, f"Ann {number}") for number in range(60)]
        for one in people:
            await stack.enter_async_context(one)
        for one in people:
            await one.drop()
        await tell(host, [f"{number} {'x' * 20_000}" for number in range(44)] + ["end"])
        before = host.rss()
        for _ in range(2):
            for one in people:
                await one.come()
                assert one.recovered
                one.heard.clear()
                await one.receive("end")
                assert len([text for text in one.heard if text == "end"]) == 1
            assert host.rss() - before < 20 * MB
            for one in people:
                one.offset = None  # as if nothing had arrived
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
    monkeypatch.setattr(migration, "MAX_INHERITED", 500_000)
    async with serving(tmp_path, Rooms, origins=None, bus=redis.setting) as host:
        handed = host.transport._migration
        for number in range(5):
            for piece in estate_of(100_000):
                handed._inherit(f"host {number}", piece)
        assert 0 < sum(snapshot.size for snapshot in handed._snapshots.values()) <= 500_000
        assert "host 4" in handed._snapshots


# What a pong proves


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


# Replays


@on_both
async def test_much_missed_in_a_moment(way: str, host: SocketHost) -> None:
    """A client that missed more than may wait for a slow one has all of it, then goes on live."""
    async with in_garden(host, way) as ann:
        await ann.drop()
        await until(gone(host))
        texts = [f"{number} {'x' * 50_000}" for number in range(60)]
        await emit(host, *texts)
        await ann.come()
        assert ann.recovered
        await emit(host, "live", "end")
        await ann.receive("end")
        assert ann.heard == [*texts, "live", "end"]
        assert not host.transport.closed()


async def test_order_is_kept_behind_a_replay(host: SocketHost) -> None:
    """Acks and live events come after what was missed, each in its place."""
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
        while not ann.heard or ann.heard[-1] != "end":
            order.append((await ann.packet())[:4])
        assert ann.heard == [*texts, "mine", "end"]
        assert order[-2:] == ["437[", '42["']


@on_both
async def test_event_that_ends_the_connection_is_not_sent_for_ever(
    way: str, host: SocketHost
) -> None:
    """A client that drops at what it is sent again begins anew after a few times."""
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
            ann.heard.clear()
            await ann.drop()
            await until(gone(host))
        assert 1 <= recovered <= 3
        assert not ann.recovered


async def test_idle_client_may_drop_as_often_as_it_likes(host: SocketHost) -> None:
    """A client that missed nothing has failed at nothing."""
    async with in_garden(host) as ann:
        for _ in range(8):
            await ann.drop()
            await until(gone(host))
            await emit(host, "elsewhere", room="kitchen")
            await ann.come()
            assert ann.recovered


async def test_forgotten_in_the_middle_begins_anew(
    host: SocketHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that reads slower than the journal forgets is closed once, and told so then."""
    async with in_garden(host) as ann:
        await ann.drop()
        await until(gone(host))
        await emit(host, *["x" * 90_000] * 100)
        await ann.come()
        assert ann.recovered
        monkeypatch.setattr(replay_buffer, "MAX_ENTRIES", 5)
        await emit(host, *map(str, range(10)))
        assert not await goes_on(ann)
        await ann.drop()
        await until(gone(host))
        await ann.come()
        assert not ann.recovered


async def test_begun_anew_and_dropped_at_once(host: SocketHost) -> None:
    """A client that began anew and still has the offset of another host's event is recovered."""
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


async def test_large_event_leaves_the_others_theirs(
    host: SocketHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One event that is too large to be kept costs those it was for their recovery, nobody else."""
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
        assert not await goes_on(ann)


async def goes_on(one: Guest) -> bool:
    """Whether a client that has come is recovered, and not let go a moment later."""
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
    """Who is to be told what is decided when it is said, whatever the caller does to its lists."""
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
        assert ann.heard == ["to you", "end"]


async def test_room_that_is_none(host: SocketHost) -> None:
    """An event for something that cannot be a room ends nobody's recovery."""
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
        assert ann.heard == ["end"]


# State


class Leaving(Rooms):
    """Changes what it knows of a client when that drops."""

    async def on_disconnect(self, sid: str, reason: str) -> None:
        await asyncio.sleep(0)
        await self.save_session(sid, {"word": "late"})
        await self.leave_room(sid, "garden")
        await self.enter_room(sid, "kitchen")


async def test_state_is_what_the_disconnect_handler_left(tmp_path: Path) -> None:
    """What `on_disconnect` saves, leaves and enters is there when the client is back."""
    async with serving(tmp_path, Leaving, origins=None) as host, in_garden(host) as ann:
        await ann.drop()
        await until(gone(host))
        await emit(host, "left")
        await emit(host, "end", room="kitchen")
        await ann.come()
        assert ann.recovered
        await ann.receive("end")
        assert ann.heard == ["end"]
        await ann.send('429["word"]')
        while not (packet := await ann.packet()).startswith("439"):
            pass
        assert packet == '439["late"]'


class Picky(Rooms):
    """Lets nobody in at times."""

    full = False

    def admit(self, sid: str, environ: Any, auth: Any) -> Any:
        if self.full:
            raise self._refused("full", "Not now.")
        return super().admit(sid, environ, auth)


async def test_refused_client_may_come_back_later(tmp_path: Path) -> None:
    """A client that is back while the host lets nobody in has its state the next time."""
    async with serving(tmp_path, Picky, origins=None) as host, in_garden(host) as ann:
        await ann.drop()
        await until(gone(host))
        host.namespaces[0].full = True  # type: ignore[attr-defined]
        with pytest.raises(AssertionError, match="Not now"):
            await ann.come()
        await ann.drop()
        await until(gone(host))
        host.namespaces[0].full = False  # type: ignore[attr-defined]
        await emit(host, "end")
        await ann.come()
        assert ann.recovered
        await ann.receive("end")


class Curious(Rooms):
    """Notes what clients sent with CONNECT."""

    def admit(self, sid: str, environ: Any, auth: Any) -> Any:
        self.came.append(("admit", auth))
        return super().admit(sid, environ, auth)

    async def on_connect(self, sid: str, environ: Any, auth: Any) -> None:
        self.came.append(("connect", auth))


@pytest.mark.parametrize("own", [{}, {"offset": 3, "mine": 1}, {"pid": "my own"}])
async def test_protocol_stays_out_of_auth(own: dict[str, Any], tmp_path: Path) -> None:
    """`pid` and `offset` are not the application's business, unless they are its own."""
    async with serving(tmp_path, Curious, origins=None, session_secret=None) as host:
        ann = Guest(host.port, "websocket", own)
        await ann.come()
        await until(lambda: len(host.namespaces[0].came) == 2)
        await ann.drop()
        await until(gone(host))
        if "pid" not in own:
            own = {name: value for name, value in own.items() if name != "offset"}
            ann.auth = own
        host.sio.recovery.take_all()
        host.namespaces[0].came.clear()
        await ann.come(**own)
        await until(lambda: len(host.namespaces[0].came) == 2)
        assert host.namespaces[0].came == [("admit", own or None), ("connect", own or None)]
        await ann.drop()


# Waiting for others


class Two(Rooms):
    """Rooms, in a second namespace too."""


@asynccontextmanager
async def with_two_namespaces(folder: Path, **changes: Any) -> AsyncIterator[SocketHost]:
    async with serving(folder, Two, origins=None, **changes) as host:
        second = Two(host.settings, "/two")
        await second.start()
        host.sio.register_namespace(second)
        yield host


async def join(one: Guest, namespace: str, pid: str | None = None) -> str:
    """Join a namespace; return its pid there, or "" if the connection ends."""
    claim = {"pid": pid} if pid else {}
    prefix = f"40{namespace}," if namespace != "/" else "40"
    await one.send(prefix + json.dumps(one.auth | claim))
    try:
        while not (packet := await one.packet()).startswith(prefix):
            pass
    except ConnectionError:
        return ""
    return str(json.loads(packet[len(prefix) :])["pid"])


async def test_crosswise(tmp_path: Path) -> None:
    """Two connections that each want what the other has do not wait for each other for ever."""
    async with with_two_namespaces(tmp_path) as host:
        async with raw_guest(host) as ann, raw_guest(host) as bob:
            pid_of_ann, pid_of_bob = await join(ann, "/"), await join(bob, "/two")
            asked = [join(ann, "/two", pid_of_bob), join(bob, "/", pid_of_ann)]
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*asked)
        await until(gone(host))
        async with asyncio.timeout(PATIENCE):
            await host.stop()


@asynccontextmanager
async def raw_guest(host: SocketHost) -> AsyncIterator[Guest]:
    """A guest that has joined nothing."""
    one = guest(host)
    one._line = await one._stack.enter_async_context(one._way.open(host.port))
    try:
        yield one
    finally:
        await one.drop()


class Slow(Rooms):
    """Takes for ever to say goodbye."""

    async def on_disconnect(self, sid: str, reason: str) -> None:
        await self.gate.wait()


async def test_goodbye_that_takes_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose old connection does not come to its end is let in after a while, anew."""
    monkeypatch.setattr(connecting, "_LET_GO_SECONDS", 0.2)
    async with serving(tmp_path, Slow, origins=None) as host:
        host.namespaces[0].gate = asyncio.Event()  # type: ignore[attr-defined]
        async with in_garden(host) as ann:
            await ann.drop()
            await ann.come()
            assert not ann.recovered
            host.namespaces[0].gate.set()  # type: ignore[attr-defined]


# Other hosts


class Deaf:
    """A host that was killed a moment ago: it says nothing, and the others do not know it yet."""

    def __init__(self, host: SocketHost, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(host.bus.peers, "_announce", lambda word: None)
        patch.setattr(host.bus, "_subscribers", {})


async def test_killed_host_is_not_waited_for(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that does not answer costs the first who come a moment, and then nobody anything."""
    monkeypatch.setattr(migration, "ASK_SECONDS", 3_600)
    async with hosts(tmp_path, redis.setting) as running:
        one, other = await running.start(), await running.start()
        people = [guest(one, name=name) for name in ("Ann", "Bob")]
        for person in people:
            await person.come()
            await person.drop()
        await until(gone(one))
        one.sio.recovery.take_all()
        with monkeypatch.context() as patch:
            Deaf(one, patch)
            for person in people:
                person.port = other.port
                await person.come()
                assert not person.recovered
                patch.setattr(answer_times, "_LEAST_SECONDS", 3_600)  # for the second
            for person in people:
                await person.drop()


async def asked(host: SocketHost, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a host asks the others from now on."""
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
    """A client with an offset that cannot be one is let in anew, and nobody is asked about it."""
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
    """When the bus does not take a question the client begins anew, and nothing stays."""
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
    """A pid that nobody knows does not make hosts ask each other again and again."""
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
    """Of many that come from elsewhere at once some begin anew; none is refused."""
    monkeypatch.setattr(migration, "ASKS_PER_SECOND", 0.001)
    monkeypatch.setattr(migration, "MAX_ASKS", 3)
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
    """A pid expires: after that only the host that has its client believes it."""
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
    """A host that has just started has its clients' state from those whom it was left to."""
    async with hosts(tmp_path, redis.setting) as running, clients("javascript") as people:
        one, other, third = [await running.start() for _ in range(3)]
        async with visiting(one, people) as ann, visiting(one, people, "Bob") as bob:
            await ann.call("keep", "apple")
            sid = await ann.sid()
            await emit(one, "before")
            for visitor in (ann, bob):
                assert await visitor.heard("before") == ["before"]
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
                heard = await visitor.heard()
                assert sorted(heard) == sorted(
                    ["there", "meanwhile", "meanwhile too", "after", "end"]
                )
                assert heard[0] == "there"
            assert (await ann.sid(), await ann.call("word")) == (sid, "apple")


async def test_one_strange_client_does_not_spoil_an_estate(redis: Redis, tmp_path: Path) -> None:
    """A session that is no JSON, a room that has no name and a huge event cost others nothing."""
    async with hosts(tmp_path, redis.setting) as running:
        one, other = await running.start(), await running.start()
        async with guest(one, name="Bob") as bob, guest(one, name="Ann") as ann:
            await one.namespaces[0].save_session(bob.sid, {"nan": float("nan")})
            await one.namespaces[0].enter_room(bob.sid, ("a", "b"))
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


def test_memories_are_joined() -> None:
    """What either of two memories has had the joined one has, and nothing more."""
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


async def test_names_count_in_the_replay_buffer() -> None:
    """Names of rooms and of skipped clients count in the replay buffer, and go with their event."""
    replay_buffer = ReplayBuffer(3_600)
    rooms, skipped = ["r" * 1_000] * 60, ["s" * 1_000] * 60
    for _ in range(2 * MAX_BYTES // 120_000):
        replay_buffer.add(Message.of('42["news"]'), "/", rooms, skipped, None)
    assert len(list(replay_buffer)) * 120_000 <= MAX_BYTES
    assert replay_buffer.size <= MAX_BYTES
