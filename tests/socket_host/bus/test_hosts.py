"""Hosts on a bus, with each kind of bus and each transport."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from functions.contract.bus import MAX_BYTES, BusMessageError
from socket_host.bus import shared
from socket_host.bus.redis import RedisBus
from socket_host.namespace import Namespace
from tests.kit import buses
from tests.kit.buses import Host, Line, Redis
from tests.kit.clients import clients
from tests.kit.hosts import PATIENCE, on_each_transport, serving, token, url
from tests.kit.waiting import until


@pytest.fixture(scope="module")
def aws() -> Iterator[None]:
    """A stand-in for AWS."""
    with buses.aws():
        yield


class Pair:
    """Two hosts and the connection between them, which can be stopped and restarted."""

    def __init__(self, one: Host, other: Host, between: Line | Redis) -> None:
        self.one = one
        self.other = other
        self.between = between


@pytest.fixture(params=["redis-fast", "redis-stock", "sns-fast"])
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pair]:
    """Two hosts on a bus of each kind."""
    kind, _, transport = request.param.partition("-")
    async with AsyncExitStack() as stack:
        between: Line | Redis
        if kind == "redis":
            between = await stack.enter_async_context(buses.redis(tmp_path))
            setting = between.setting
        else:
            request.getfixturevalue("aws")
            setting = buses.topic()
            between = await stack.enter_async_context(buses.line())
        hosts = [await stack.enter_async_context(buses.host(setting, transport)) for _ in "ab"]
        yield Pair(*hosts, between)


async def test_emit_reaches_the_room_on_every_host(pair: Pair) -> None:
    """A room has members on any host, and only they get its events."""
    here, there, elsewhere = [await host.client() for host in (pair.one, pair.other, pair.other)]
    await pair.other.sio.leave_room(pair.other.sids[-1], "plaza")
    await pair.one.sio.emit("news", {"text": "é\U0001f98a\ud800\x00"}, room="plaza")
    await pair.one.sio.emit("end")
    for client in (here, there):
        assert await client.receive("news") == {"text": "é\U0001f98a\ud800\x00"}
    await elsewhere.receive("end")
    assert elsewhere.inbox.unread("news") == []


async def test_client_can_be_left_out(pair: Pair) -> None:
    """`skip_sid` works for a client of any host."""
    there, skipped = [await pair.other.client() for _ in "ab"]
    await pair.one.sio.emit("news", 1, room="plaza", skip_sid=pair.other.sids[-1])
    await pair.one.sio.emit("end")
    assert await there.receive("news") == 1
    await skipped.receive("end")
    assert skipped.inbox.unread("news") == []


async def test_data_arrives_as_it_was(pair: Pair) -> None:
    """Clients of another host get the same arguments as those of this host."""
    received: list[list[tuple[Any, ...]]] = [[], []]
    for host, inbox in zip((pair.one, pair.other), received, strict=True):
        client = await host.client()
        client.sio.on("news", lambda *values, inbox=inbox: inbox.append(values))
    data = [None, "text", [1], ("a", [b"\0\xff"]), b"\0\xff", {}, 1.5, {"a": [(1, (b"x",))]}]
    for item in data:
        await pair.one.sio.emit("news", item)
    await until(lambda: [len(inbox) for inbox in received] == [len(data)] * 2)
    assert received[0] == received[1]


async def test_ack_comes_back_from_another_host(pair: Pair) -> None:
    """A client's ack reaches the host that emitted the event."""
    client = await pair.other.client()
    client.sio.on("question", lambda *values: ("answer", *values))
    answer = await pair.one.sio.call("question", ("a", 1), to=pair.other.sids[-1], timeout=PATIENCE)
    assert answer == ("answer", "a", 1)


async def test_answer_with_bytes_from_another_host(pair: Pair) -> None:
    """Acks from another host may contain bytes."""
    client = await pair.other.client()
    client.sio.on("question", lambda *_: (b"\x01", {"deep": [b"\x02"]}))
    answer = await pair.one.sio.call("question", to=pair.other.sids[-1], timeout=PATIENCE)
    assert answer == (b"\x01", {"deep": [b"\x02"]})


async def test_callback_that_fails(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    """A callback that fails is logged, and does not count as a failure of the bus."""
    client, sid = await pair.other.client(), pair.other.sids[-1]
    client.sio.on("question", lambda *_: "answer")

    def fail(*_: Any) -> None:
        raise RuntimeError("a bug")

    await pair.one.sio.emit("question", to=sid, callback=fail)
    await until(lambda: "A callback failed." in caplog.text)
    assert await pair.one.sio.call("question", to=sid, timeout=PATIENCE) == "answer"
    assert pair.one.bus.health()["status"] == "ok"


async def test_answer_that_the_bus_refuses(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    """An answer too large or too deep for the bus is logged, and later ones arrive."""
    client, sid = await pair.other.client(), pair.other.sids[-1]
    most = pair.other.bus.LARGEST = 10_000
    sizes = iter([most, 1])
    client.sio.on("question", lambda *_: "x" * next(sizes))
    await pair.one.sio.emit("question", to=sid, callback=print)
    await until(lambda: f"the bus accepts up to {most}" in caplog.text)
    assert await pair.one.sio.call("question", to=sid, timeout=PATIENCE) == "x"
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    await pair.other.sio.manager._return_callback(pair.one.bus.host_id, sid, "/", 3, deep)
    assert caplog.text.count("A client's answer was not sent to the host that asked for it.") == 2
    assert "Traceback" not in caplog.text


async def test_disconnect_from_another_host(pair: Pair) -> None:
    """A client can be disconnected by any host; its own host runs the handler."""
    client = await pair.other.client()
    await pair.one.sio.disconnect(pair.other.sids[-1])
    await client.receive("disconnect")
    await until(lambda: pair.other.gone == pair.other.sids)


async def test_rooms_from_another_host(pair: Pair) -> None:
    """Any host can put a client into a room, take it out, and close a room."""
    client = await pair.other.client()
    sid = pair.other.sids[-1]
    await pair.one.sio.enter_room(sid, "garden")
    await pair.one.sio.emit("news", "in", room="garden")
    await pair.one.sio.leave_room(sid, "garden")
    await pair.one.sio.emit("news", "out", room="garden")
    await pair.one.sio.enter_room(sid, "garden")
    await pair.one.sio.close_room("garden")
    await pair.one.sio.emit("news", "closed", room="garden")
    await pair.one.sio.emit("news", "end")
    assert await client.receive("news") == "in"
    assert await client.receive("news") == "end"


class Guarded(Namespace):
    """Lets visitors into the room that has their name only; `/side` has its own rule."""

    def may_join(self, sid: str, room: str) -> bool:
        if room == "broken":
            raise RuntimeError("a bug")
        return self.visitor(sid).name == room

    async def on_enter(self, sid: str, other: str, room: str, namespace: str | None = None) -> None:
        await self.enter_room(other, room, namespace)


class Side(Guarded):
    """A second namespace, which lets visitors into another room."""

    namespace = "/side"

    def may_join(self, sid: str, room: str) -> bool:
        return self.visitor(sid).name + "'s" == room


@on_each_transport
async def test_may_join_is_asked_where_the_client_is(
    transport: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A client's own host decides which rooms it may be put into, by handlers of any host."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(buses.redis(tmp_path))
        one, other = [
            await stack.enter_async_context(
                serving(tmp_path, Guarded, Side, bus=redis.setting, transport=transport)
            )
            for _ in "ab"
        ]
        people = await stack.enter_async_context(clients())
        ann = await people.connect(url(one), token("Ann"))
        bob = await people.connect(url(other), token("Bob"))
        (sid,) = other.namespaces[0]._clients
        for room in ("Ann", "broken", "Bob"):
            assert await ann.call("enter", sid, room) is None
        await until(lambda: "Bob" in other.namespaces[0].rooms(sid))
        assert other.namespaces[0].rooms(sid) in ([sid, "Bob"], ["Bob", sid])
        assert "not put into the room 'Ann', which it may not join" in caplog.text
        assert [record.getMessage() for record in caplog.records if record.exc_info] == [
            "may_join failed."
        ]
        assert other.bus.health()["invalid"] == 0
        side = await people.connect(url(other), token("Bob"), namespace="/side")
        (sid,) = other.namespaces[1]._clients
        refused = {"error": "You may not join this room."}
        assert await bob.call("enter", sid, "Bob", "/side") == refused
        assert await bob.call("enter", sid, "Bob's", "/side") is None
        assert await side.call("enter", sid, "Bob") == refused


async def test_each_senders_order_holds(pair: Pair) -> None:
    """Of 400 messages that both hosts send at once, all arrive once, each host's in order."""
    received: list[list[Any]] = [[], []]
    for host, inbox in zip((pair.one, pair.other), received, strict=True):
        (await host.client()).sio.on("news", inbox.append)
    for start in range(0, 200, 25):
        for number in range(start, start + 25):
            for name, host in (("one", pair.one), ("other", pair.other)):
                # Each in its own task, like events.
                host.sio.start_background_task(host.sio.emit, "news", [name, number])
        # moto takes longer for a message if more are waiting.
        await until(lambda many=2 * (start + 25): [len(inbox) for inbox in received] == [many] * 2)
    for inbox in received:
        for name in ("one", "other"):
            assert [number for who, number in inbox if who == name] == list(range(200))


async def test_outage_loses_nothing(pair: Pair) -> None:
    """During an outage local clients get events at once; afterwards others get all, in order.

    Meanwhile the host is degraded, with the reason.
    """
    here, there = [await host.client() for host in (pair.one, pair.other)]
    await pair.one.sio.emit("news", "before")
    assert await there.receive("news") == await here.receive("news") == "before"
    await until(lambda: pair.one.bus.health()["waiting"] == 0)
    await pair.between.stop()
    for number in range(100):
        await pair.one.sio.emit("news", number)
    await pair.other.sio.emit("news", "from the other")
    assert [await here.receive("news") for _ in range(100)] == list(range(100))
    await until(
        lambda: "Messages to other hosts are waiting: " in pair.one.bus.health().get("why", "")
    )
    assert pair.one.bus.health()["status"] == "degraded"
    assert pair.one.bus.health()["waiting"] == 100
    await pair.between.start()
    assert await there.receive("news") == "from the other"
    assert [await there.receive("news") for _ in range(100)] == list(range(100))
    assert await here.receive("news") == "from the other"
    await until(lambda: pair.one.bus.health()["status"] == "ok")
    assert pair.one.bus.health()["waiting"] == pair.one.bus.health()["dropped"] == 0


async def test_outage_is_logged_once(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    """An outage is logged once when it begins and once when it ends."""
    caplog.set_level("INFO", "socket_host.bus")
    there = await pair.other.client()
    for _ in range(2):
        await pair.between.stop()
        await pair.one.sio.emit("news", 1)
        await until(lambda: "wait" in pair.one.bus.health().get("why", ""))
        await pair.between.start()
        await there.receive("news")
        await until(lambda: pair.one.bus.health()["status"] == "ok")
    lines = [r.getMessage() for r in caplog.records if "to other hosts" in r.getMessage()]
    assert [line.partition(":")[0] for line in lines] == [
        "Messages to other hosts are waiting",
        "Messages to other hosts are sent again.",
    ] * 2


async def test_outbox_drops_the_oldest(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    """Waiting messages are bounded: the oldest are dropped, counted and logged."""
    there = await pair.other.client()
    pair.one.bus._outbox._max_count = 10
    await pair.between.stop()
    await pair.one.sio.emit("news", "begin")
    await until(lambda: "wait" in pair.one.bus.health().get("why", ""))
    for number in range(1_000):
        await pair.one.sio.emit("news", number)
    assert "The oldest messages to other hosts are dropped" in pair.one.bus.health()["why"]
    assert pair.one.bus.health()["dropped"] >= 980
    assert caplog.text.count("The oldest messages to other hosts are dropped") == 1
    await pair.between.start()
    await until(lambda: pair.one.bus.health()["status"] == "ok")
    received = [
        await there.receive("news") for _ in range(1_001 - pair.one.bus.health()["dropped"])
    ]
    assert received == list(range(1_000 - len(received), 1_000))


async def test_invalid_data_is_refused(pair: Pair) -> None:
    """Data that is not JSON, or is too large, is refused with a reason before it is sent."""
    here = await pair.one.client()
    most = pair.one.bus.LARGEST
    for data, words in ((float("nan"), "JSON"), ({1}, "JSON"), ("x" * most, str(most))):
        with pytest.raises(BusMessageError, match=words):
            await pair.one.sio.emit("news", data)
    itself: list[Any] = []
    itself.append(itself)
    with pytest.raises(ValueError, match="contains itself"):
        await pair.one.sio.emit("news", itself)
    await pair.one.sio.emit("end")
    await here.receive("end")
    assert here.inbox.unread("news") == []


async def test_late_event_too_large(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An event that is emitted later, and is too large for the bus, is logged in a sentence."""
    async with (
        buses.redis(tmp_path) as redis,
        serving(tmp_path, Namespace, bus=redis.setting) as host,
    ):
        namespace = host.namespaces[0]
        most = host.bus.LARGEST
        namespace.emit_soon("news", "x" * most)
        namespace.emit_latest("latest", "x" * most, room=None)
        await until(lambda: caplog.text.count(f"the bus accepts up to {most}") == 2)
        assert "Traceback" not in caplog.text


async def test_data_that_clients_reject_is_refused(pair: Pair) -> None:
    """Data on which clients would close the connection is refused before any client gets it."""
    here, there = await pair.one.client(), await pair.other.client()
    place = {"_placeholder": True, "num": 0}
    for data in ([b"x"] * 11, [b"x", place], [b"x", place | {"num": 5}]):
        with pytest.raises(ValueError, match="'news' cannot be sent"):
            await pair.one.sio.emit("news", data)
    for event in (None, 5, "disconnect"):
        with pytest.raises(ValueError, match="event"):
            await pair.one.sio.emit(event, 1)
    await pair.one.sio.emit("news", [b"x"] * 10)
    await pair.one.sio.emit("end")
    for client in (here, there):
        await client.receive("end")
        assert client.inbox.unread("news") == [[b"x"] * 10]
    assert pair.other.bus.health()["invalid"] == 0


async def test_largest_message(pair: Pair) -> None:
    """A message of the bus's largest size reaches the clients of both hosts."""
    here, there = await pair.one.client(), await pair.other.client()
    assert (pair.one.bus.LARGEST > MAX_BYTES) == isinstance(pair.one.bus, RedisBus)
    size = pair.one.bus.LARGEST - 1_000
    await pair.one.sio.emit("news", "x" * size)
    await pair.one.sio.emit("end")
    for client in (here, there):
        assert len(await client.receive("news")) == size
        await client.receive("end")
    assert pair.other.bus.health()["invalid"] == 0


async def test_stopping_host_sends_waiting_messages(pair: Pair) -> None:
    """Events emitted before a host stops reach the others."""
    there = await pair.other.client()
    for number in range(50):
        await pair.one.sio.emit("news", number)
    await pair.one.bus.stop()
    assert [await there.receive("news") for _ in range(50)] == list(range(50))


async def test_stop_has_a_deadline(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A host stops in time even if the bus is down, and logs the number of unsent messages."""
    monkeypatch.setattr(shared, "FLUSH_SECONDS", 0.1)
    await pair.between.stop()
    await pair.one.sio.emit("news", 1)
    async with asyncio.timeout(PATIENCE):
        await pair.one.bus.stop()
    assert "The host stops with 1 messages to other hosts unsent." in caplog.text


async def test_host_starts_without_its_bus(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host starts during an outage, serves its own clients, and connects afterwards."""
    monkeypatch.setattr(shared, "START_SECONDS", 0.1)
    setting = _setting_of(pair)
    await pair.between.stop()
    async with buses.host(setting) as late:
        here = await late.client()
        await late.sio.emit("greeting", "here")
        assert await here.receive("greeting") == "here"
        assert late.bus.health()["status"] == "degraded"
        await pair.between.start()
        there = await pair.one.client()
        await until(lambda: late.bus.health()["status"] == "ok")
        await pair.one.sio.emit("news", "there")
        assert await here.receive("news") == await there.receive("news") == "there"


def _setting_of(pair: Pair) -> str:
    if isinstance(pair.between, Redis):
        return pair.between.setting
    return f"sns:{pair.one.bus._topic.arn}"
