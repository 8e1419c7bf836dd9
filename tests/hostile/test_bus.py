"""An attacker who can publish on the bus cannot stop it: not by numbers, sizes, or silence."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from functions.contract.bus import MAX_BYTES
from functions.contract.redis_address import Address
from socket_host import presence_sync
from socket_host.bus import redis_connection
from socket_host.bus.peers import MAX_PEERS
from socket_host.bus.redis_connection import Connection
from socket_host.bus.seen_messages import SeenMessages
from tests.hostile.intruders import MB, announcement, emit, intruder, receives, when
from tests.hostile.victim import victim
from tests.kit import buses
from tests.kit.buses import Redis
from tests.kit.hosts import PATIENCE, on_each_transport
from tests.kit.waiting import until

pytestmark = pytest.mark.together("waiting")


@on_each_transport
@pytest.mark.parametrize("number", [10**12, 2**53 - 1, 1_000_100, "9" * 400, "-1", "1_0", "٣"])
async def test_id_in_the_future(redis: Redis, transport: str, number: Any) -> None:
    """A message with a host's id and a far number blocks no host, and is reported in /health."""
    async with (
        buses.host(redis.setting) as one,
        buses.host(redis.setting, transport) as other,
        intruder(redis) as evil,
    ):
        await receives(one, other)
        client = await other.client()
        await evil.publish(emit(one.bus.host_id, number))
        await until(lambda: other.bus.health()["invalid"])
        assert other.bus.health()["status"] == "degraded"
        await one.sio.emit("honest", "still here")
        assert await client.receive("honest") == "still here"
        assert client.inbox.unread("news") == []


async def test_id_that_came_first(redis: Redis) -> None:
    """A host whose number was forged before its first message is received from its second on."""
    async with (
        buses.host(redis.setting) as one,
        buses.host(redis.setting) as other,
        intruder(redis) as evil,
    ):
        client, gaps = await other.client(), list[None]()
        other.bus.on_gap(lambda: gaps.append(None))
        await evil.publish(emit(one.bus.host_id, 10**12))
        await client.receive("news")
        for word in "ab":
            await one.sio.emit("honest", word)
        assert await client.receive("honest") == "b"
        assert gaps == [None]  # so that clients are told that they may have missed something
        assert other.bus.health()["status"] == "degraded"


def test_sender_that_is_far_ahead_is_accepted_from_its_second_message() -> None:
    """A host that lost hundreds of thousands of messages is received again."""
    memory = SeenMessages()
    assert memory.is_new("a:1")
    for number in (10**6, 10**7, 5 * 10**6):  # none follows another
        with pytest.raises(ValueError, match="far ahead"):
            memory.is_new(f"a:{number}")
    assert memory.is_new("a:2")
    with pytest.raises(ValueError, match="far ahead"):
        memory.is_new("a:1000000")
    assert memory.is_new("a:1000001")
    assert not memory.is_new("a:1000001")
    assert memory.is_new("a:1000002")


def test_memory_is_bounded_in_bytes() -> None:
    """A sender's name is limited in length, and the list of doubtful numbers in size."""
    memory = SeenMessages()
    for sender in ("x" * 65, "a b", "\n", "é", ""):
        with pytest.raises(ValueError, match="message_id"):
            memory.is_new(f"{sender}:1")
    assert not memory._had
    for number in range(5_000):
        assert memory.is_new(f"{number}:1")
        with pytest.raises(ValueError, match="far ahead"):
            memory.is_new(f"{number}:1000000000")
    assert len(memory._doubts) <= 1_000


async def test_thousands_of_greetings(redis: Redis, tmp_path: Path) -> None:
    """Fake hosts are bounded in number, answered together, and cause only a line or two."""
    async with victim(tmp_path, BUS=redis.setting) as host, intruder(redis) as evil:
        answers = 0

        async def count() -> None:
            nonlocal answers
            async for body in listening.messages():
                answers += b'"alive"' in body and b'"ghost' not in body

        listening = await Connection.open(Address.parse(redis.setting))
        await listening.listen("socketio")
        counting = asyncio.create_task(count())
        before, cpu = host.rss(), host.cpu()
        word = {"word": "hello", "state": {}}
        await evil.publish(*(announcement("peers", word, f"ghost{n}") for n in range(20_000)))
        health = await evil.settled(host)
        assert health["bus"]["peers"] == MAX_PEERS
        assert health["status"] == "degraded"
        assert host.rss() - before < 16 * MB
        assert host.cpu() - cpu < 1.5
        goodbye = {"word": "goodbye", "state": {}}
        await evil.publish(
            *(announcement("peers", goodbye, f"ghost{n}", 2) for n in range(MAX_PEERS))
        )
        await evil.settled(host)
        assert (await host.health())["bus"]["peers"] == 0
        assert answers < 50
        assert len(host.log()) <= 5
        counting.cancel()
        listening.close()


async def test_hosts_that_fall_silent_together(redis: Redis, tmp_path: Path) -> None:
    """Any number of hosts lost at once causes one line in the log."""
    async with victim(tmp_path, BUS=redis.setting) as host, intruder(redis) as evil:
        word = {"word": "alive", "state": {}}
        await evil.publish(*(announcement("peers", word, f"ghost{n}") for n in range(500)))
        assert (await evil.settled(host))["bus"]["peers"] == 500
        await when(host, lambda bus: not bus["peers"])
        assert len([line for line in host.log() if "Lost" in line]) == 1


async def test_report_without_end(redis: Redis, tmp_path: Path) -> None:
    """One host's report of its visitors is limited in memory; beyond it the bus is degraded."""
    async with victim(tmp_path, BUS=redis.setting) as host, intruder(redis) as evil:
        await evil.publish(announcement("peers", {"word": "alive", "state": {}}))
        await evil.settled(host)
        before = host.rss()
        for number in range(1, 41):
            news = [[f"r{number}", f"{number}-{n}", "x", True] for n in range(8_000)]
            body = json.dumps(announcement("attendance", {"news": news, "number": number}))
            message = body.replace('"ghost:1"', f'"ghost:{1 + number}"').encode()
            assert len(message) < MAX_BYTES
            await evil.publish(message)
        health = await evil.settled(host)
        assert health["status"] == "degraded"
        assert host.rss() - before < 2 * presence_sync.MAX_REPORT_BYTES


async def test_large_messages_are_not_parsed(redis: Redis, tmp_path: Path) -> None:
    """A message above the limit costs only the reading of its bytes."""
    async with victim(tmp_path, BUS=redis.setting) as host, intruder(redis) as evil:
        cpu = host.cpu()
        large = json.dumps(emit(data=[{"a": 1}] * 250_000)).encode()
        assert len(large) > 2 * MB
        for number in range(1, 21):  # one at a time: Redis disconnects slow readers
            await evil.publish(large)
            await when(host, lambda bus: bus["invalid"] == number)  # noqa: B023 - called here
        assert host.cpu() - cpu < 0.5


@on_each_transport
async def test_unread_messages_are_bounded_in_bytes(redis: Redis, transport: str) -> None:
    """A host that is busy with one message reads only a few megabytes ahead."""
    async with buses.host(redis.setting, transport) as host, intruder(redis) as evil:
        busy, client = asyncio.Event(), await host.client()

        async def disconnect(*_: Any) -> None:
            await busy.wait()

        host.sio.on("disconnect", disconnect)
        sid = host.sids[0]
        await evil.publish(
            {"method": "disconnect", "sid": sid, "namespace": "/", "host_id": "ghost"}
        )
        await client.receive("disconnect")
        await evil.publish(*(emit(number=n, data=["x" * 250_000]) for n in range(1, 101)))
        connection = host.bus._connection
        await until(lambda: connection._paused)
        assert sum(map(len, connection._unread)) < 10 * MB
        busy.set()
        await until(lambda: not connection._unread and not connection._paused)


@asynccontextmanager
async def answering(reply: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """The address of a server that accepts every login, and then replies as a test says."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"HELLO\r\n$1\r\n3\r\n")
        writer.write(b"%0\r\n")
        with contextlib.suppress(ConnectionError):
            await reply(writer)
            await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.wait_for(ended.wait(), PATIENCE)


async def test_message_without_end() -> None:
    """A reply with a length of half a gigabyte ends the connection after a few megabytes."""
    sent = 0

    async def announce(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b">3\r\n$7\r\nmessage\r\n$8\r\nsocketio\r\n$536870912\r\n")
        while sent < 64 * MB:
            writer.write(b"x" * 65_536)
            sent += 65_536
            await writer.drain()

    async with answering(announce) as address:
        connection = await Connection.open(Address.parse(address))
        await until(lambda: not connection.is_open)
        assert connection._reader.len() < 2 * redis_connection._MAX_REPLY_BYTES
        with pytest.raises(OSError, match="more than"):
            await connection.ask("PING")
    assert sent < 32 * MB


@pytest.mark.parametrize(
    "reply",
    [b"+OK\r\n" * 3, b">1\r\n+message\r\n", b">3\r\n$7\r\nmessage\r\n+a\r\n:5\r\n", b">0\r\n"],
)
async def test_nonsensical_server(reply: bytes) -> None:
    """Replies of the wrong kind end the connection with a reason."""

    async def greet(writer: asyncio.StreamWriter) -> None:
        writer.write(reply)

    async with answering(greet) as address:
        connection = await Connection.open(Address.parse(address))
        await until(lambda: not connection.is_open)
        with pytest.raises(OSError, match="not Redis"):
            await connection.ask("PING")
