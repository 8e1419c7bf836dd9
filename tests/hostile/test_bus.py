"""Who can write to the bus, or to the loopback, cannot silence hosts or fill their memory."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from functions.contract.bus import MAX_BYTES, loopback_token
from socket_host import presence_sync
from socket_host.bus import Loopback, open_bus, redis_connection
from socket_host.bus.address import Address
from socket_host.bus.peers import MAX_PEERS
from socket_host.bus.redis_connection import Connection
from socket_host.bus.schema import fault, parse, plain_emit
from socket_host.bus.seen_messages import SeenMessages
from tests.hostile.victim import Victim, victim
from tests.kit import buses
from tests.kit.buses import Host, Redis, until
from tests.kit.hosts import PATIENCE, SECRET, on_each_transport, serving, token
from tests.kit.protocol_client import Raw, frame, raw

MB = 1024 * 1024


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    """A real server."""
    async with buses.redis(tmp_path) as server:
        yield server


class Intruder:
    """Somebody who publishes to the bus what no host would."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def publish(self, *bodies: Any) -> None:
        """Publish messages as they are, or as JSON."""
        texts = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies]
        for start in range(0, len(texts), 200):
            await self.connection.publish("socketio", texts[start : start + 200])

    async def settled(self, host: Victim) -> dict[str, Any]:
        """Wait until a host has taken in all that was published; return its health."""
        had = (await host.health())["bus"]["duplicates"]
        twice = emit(uuid.uuid4().hex, namespace="/nobody")
        await self.publish(twice, twice)
        return await when(host, lambda bus: bus["duplicates"] > had)


async def when(host: Victim, so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait until a host says something of its bus; return its health."""
    async with asyncio.timeout(2 * PATIENCE):
        while not so((health := await host.health())["bus"]):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)
    return health


@asynccontextmanager
async def intruder(redis: Redis) -> AsyncIterator[Intruder]:
    """An intruder on the bus of a Redis."""
    connection = await Connection.open(Address.parse(redis.setting))
    try:
        yield Intruder(connection)
    finally:
        connection.close()


def emit(sender: str = "ghost", number: Any = 1, **changes: Any) -> dict[str, Any]:
    """A message that emits, as python-socketio's managers write it."""
    return {
        "message_id": f"{sender}:{number}",
        "method": "emit",
        "event": "news",
        "data": ["ghost"],
        "binary": False,
        "namespace": "/",
        "room": None,
        "skip_sid": None,
        "callback": None,
        "host_id": sender,
    } | changes


def announcement(subject: str, body: Any, host: str = "ghost", number: int = 1) -> dict[str, Any]:
    """A message of one host's to the others."""
    return {
        "message_id": f"{host}:{number}",
        "method": "announcement",
        "host_id": host,
        "subject": subject,
        "body": body,
    }


async def hears(speaker: Host, listener: Host, word: str = "hello") -> None:
    """Make sure that what one host emits reaches the other's clients."""
    client = await listener.client()
    await speaker.sio.emit("honest", word)
    assert await client.receive("honest") == word


@on_each_transport
@pytest.mark.parametrize("number", [10**12, 2**53 - 1, 1_000_100, "9" * 400, "-1", "1_0", "٣"])
async def test_id_in_the_future(redis: Redis, transport: str, number: Any) -> None:
    """One message with a host's id and a number far away silences nobody, and health says so."""
    async with (
        buses.host(redis.setting) as one,
        buses.host(redis.setting, transport) as other,
        intruder(redis) as evil,
    ):
        await hears(one, other)
        client = await other.client()
        await evil.publish(emit(one.bus.host_id, number))
        await until(lambda: other.bus.health()["invalid"])
        assert other.bus.health()["status"] == "degraded"
        await one.sio.emit("honest", "still here")
        assert await client.receive("honest") == "still here"
        assert client.inbox.unread("news") == []


async def test_id_that_came_first(redis: Redis) -> None:
    """A host whose number was forged before it spoke is heard from its second message on."""
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
        assert gaps == [None]  # so that clients learn that they may have missed something
        assert other.bus.health()["status"] == "degraded"


def test_sender_that_is_far_ahead_is_believed_at_its_second_message() -> None:
    """A host whose messages were lost by the hundred thousand is heard again."""
    memory = SeenMessages()
    assert memory.is_new("a:1")
    for number in (10**6, 10**7, 5 * 10**6):  # no two of them follow each other
        with pytest.raises(ValueError, match="far ahead"):
            memory.is_new(f"a:{number}")
    assert memory.is_new("a:2")
    with pytest.raises(ValueError, match="far ahead"):
        memory.is_new("a:1000000")
    assert memory.is_new("a:1000001")
    assert not memory.is_new("a:1000001")
    assert memory.is_new("a:1000002")


def test_memory_is_bounded_in_bytes() -> None:
    """A sender's name is short, and so is the list of those whose numbers do not fit."""
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


BAD_EMITS: list[dict[str, Any]] = [
    {"room": {"a": 1}},
    {"room": [["a"]]},
    {"room": [None]},
    {"room": 1.5},
    {"room": "x" * 2_000},
    {"room": ["x" * 1_000] * 100},
    {"skip_sid": {"a": 1}},
    {"skip_sid": [1]},
    {"namespace": None},
    {"namespace": ["/"]},
    {"namespace": "/" + "x" * 2_000},
    {"event": 1},
    {"event": ["news"]},
    {"data": "ghost"},
    {"data": {"a": 1}},
    {"callback": "abc"},
    {"callback": ["room", "/", []]},
    {"host_id": 7},
    {"host_id": "x" * 100_000},
    {"host_id": "a\nERROR forged"},
    {"message_id": 7},
    {"message_id": ["ghost", 1]},
    {"message_id": "x" * 100_000 + ":1"},
    {"message_id": "a\nb:1"},
    {"binary": True, "data": [[{"_placeholder": True, "num": 0}] * 2_000, "AAAA"]},
    {"binary": True, "data": [[{"_placeholder": True, "num": 7}], "AAAA"]},
    {"binary": True, "data": [[{"_placeholder": True, "num": -1}], "AAAA"]},
    {"binary": True, "data": [[{"_placeholder": True, "num": 0}], 5]},
    {"binary": True, "data": []},
    {"method": ["emit"]},
    {"method": {}},
]

CLIENT = {"sid": "s", "namespace": "/", "host_id": "ghost"}
BAD_METHODS: list[dict[str, Any]] = [
    {"method": "callback", "host_id": None, "sid": "s", "id": 1, "args": []},
    {"method": "callback", "host_id": "ghost", "sid": [], "id": 1, "args": []},
    {"method": "callback", "host_id": "ghost", "sid": "s", "id": [], "args": []},
    {"method": "callback", "host_id": "ghost", "sid": "s", "id": 1, "args": "ab"},
    {"method": "disconnect"} | CLIENT | {"sid": {}},
    {"method": "disconnect"} | CLIENT | {"namespace": None},
    {"method": "enter_room"} | CLIENT | {"room": {"a": 1}},
    {"method": "enter_room"} | CLIENT | {"room": None},
    {"method": "leave_room"} | CLIENT | {"room": ["a"]},
    {"method": "close_room"} | CLIENT | {"room": [[]]},
    {"method": "close_room"} | CLIENT | {"room": "a", "namespace": 5},
]

OFFSET = ["a.1", '42["news","a.1"]']
BAD_BODIES: list[tuple[Any, Any]] = [
    ("peers", {"word": 1, "state": {}}),
    ("peers", {"word": "hello", "state": []}),
    ("peers", {"word": "hello", "state": {"x": "y" * 5_000}}),
    ("peers", "hello"),
    ("attendance", {"ask": "all"}),
    ("attendance", {"ask": [["a"]]}),
    ("attendance", {"news": [["room", "id", "name"]], "number": 1}),
    ("attendance", {"news": [[["room"], "id", "name", True]], "number": 1}),
    ("attendance", {"news": [["room", "id", "name", 1]], "number": 1}),
    ("attendance", {"news": [["x" * 5_000, "id", "name", True]], "number": 1}),
    ("attendance", {"news": [], "number": "1"}),
    ("attendance", {"all": [["room", {}, "name"]], "part": 0, "of": 1, "number": 1}),
    ("attendance", {"all": [], "part": 0, "of": 10**9, "number": 1}),
    ("attendance", {"all": [], "part": 1, "of": 1, "number": 1}),
    ("attendance", {"all": [], "part": 0.5, "of": 1, "number": 1}),
    ("recovery.ask", ["q", "/", ["sid"], None]),
    ("recovery.ask", ["q", "/", "sid", {}]),
    ("recovery.ask", ["q", "/", "sid"]),
    ("recovery.ask", None),
    ("recovery.answer", [["q"], None]),
    ("recovery.answer", ["q", [[["room"]], None, [], {}]]),
    ("recovery.answer", ["q", [[], [], [], {}]]),
    ("recovery.answer", ["q", [[], None, [], {}, {}]]),
    ("recovery.answer", ["q", [[], None, [["only one"]], {}]]),
    ("recovery.answer", ["q", [[], None, [["a.1", "\ud800"]], {}]]),
    ("recovery.answer", ["q", [[], None, [], {"host": [1]}]]),
    ("recovery.answer", ["q", [[], None, [], {"host": [10**30, "1"]}]]),
    ("recovery.answer", ["q", [[], None, [], {"host": [1, "-1"]}]]),
    ("recovery.answer", ["q", [[], None, [], {"x" * 5_000: [1, "1"]}]]),
    ("recovery.claim", ["/", []]),
    ("recovery.claim", "ab"),
    ("recovery.estate", {"tag": [], "position": 1}),
    ("recovery.estate", {"tag": "a", "position": -1}),
    ("recovery.estate", {"tag": "a", "position": 1, "entries": [[1, OFFSET, "/", {}, []]]}),
    ("recovery.estate", {"tag": "a", "position": 1, "entries": [[1, ["a"], "/", None, []]]}),
    ("recovery.estate", {"tag": "a", "position": 1, "dropped": [["/", "s", [[[], 0]]]]}),
    ("recovery.estate", {"tag": "a", "position": 1, "had": []}),
    (["peers"], {}),
    (None, {}),
]


@pytest.mark.parametrize("changes", BAD_EMITS)
def test_emit_of_another_shape(changes: dict[str, Any]) -> None:
    """An event is taken only in the shape that python-socketio writes."""
    message = emit() | changes
    body = json.dumps(message).encode()
    assert fault(parse(body.decode()))
    if changes.get("message_id") != "a\nb:1":  # which the memory refuses
        assert plain_emit(body) is None


@pytest.mark.parametrize("message", BAD_METHODS)
def test_request_of_another_shape(message: dict[str, Any]) -> None:
    """So is what else python-socketio's managers ask for."""
    assert fault({"message_id": "ghost:1"} | message)


@pytest.mark.parametrize(("subject", "body"), BAD_BODIES)
def test_announcement_of_another_shape(subject: Any, body: Any) -> None:
    """So is what hosts announce."""
    assert fault(announcement(subject, body))


@pytest.mark.parametrize(
    "message",
    [
        emit(),
        emit() | {"room": ["a", "b", 7], "skip_sid": ["s"]},
        emit() | {"room": 7},
        emit() | {"callback": ["room", "/", 1]},
        emit() | {"binary": True, "data": [[{"_placeholder": True, "num": 0}, "é"], "AAAA"]},
        {key: value for key, value in emit().items() if key not in ("message_id", "binary")},
        {"method": "callback", "host_id": "h", "sid": "s", "namespace": "/", "id": 1, "args": [1]},
        {"method": "disconnect"} | CLIENT,
        {"method": "enter_room", "room": "a"} | CLIENT,
        {"method": "leave_room", "room": 7} | CLIENT,
        {"method": "close_room", "room": "a", "namespace": "/", "host_id": "h"},
        {"method": "of a later version", "anything": {}},
        announcement("of an application", {"anything": [1.5]}),
        announcement("peers", {"word": "hello", "state": {"attendance": 7}}),
        announcement("attendance", {"ask": ["h"]}),
        announcement("attendance", {"news": [["room", "id", "é", False]], "number": 1}),
        announcement("attendance", {"all": [], "part": 0, "of": 1, "number": 0}),
        announcement("recovery.ask", ["q", "/", "sid", None]),
        announcement("recovery.answer", ["q", None]),
        announcement("recovery.answer", ["q", [["a"], {"k": 1}, [OFFSET], {"h": [1, "f"]}]]),
        announcement("recovery.answer", ["q", [["a"], None, [], {}, 3]]),
        announcement("recovery.claim", ["/", "sid"]),
        announcement("recovery.estate", {"tag": "a", "position": 1, "had": {}}),
        announcement("recovery.estate", {"tag": "a", "position": 1, "entries": []}),
        announcement(
            "recovery.estate",
            {
                "tag": "a",
                "position": 1,
                "entries": [[1, OFFSET, "/", ["a"], []]],
                "dropped": [["/", "s", [["a", 0]], None, 0, None, [OFFSET]]],
            },
        ),
    ],
)
def test_right_message_is_taken(message: dict[str, Any]) -> None:
    """What hosts, functions and python-socketio's managers say passes."""
    assert fault(message) == ""


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", "[-Infinity]", "1e400", "[-1e999]", '{"a":1e999999}', "{} {}", ""]
)
def test_what_is_not_json(text: str) -> None:
    """A number that JSON lacks, or that overflows, is not read as one."""
    with pytest.raises(ValueError, match=r"."):
        parse(text)


async def test_room_that_is_no_text(redis: Redis, tmp_path: Path) -> None:
    """An event for a room that is no text ends nobody's recovery."""
    async with serving(tmp_path, bus=redis.setting) as host, intruder(redis) as evil:
        async with raw(host.port) as client:
            sid, pid = await joined(client, "40" + json.dumps({"session": token()}))
        await until(lambda: host.sio.recovery._disconnected)
        for number, room in enumerate(({"a": 1}, [["a"]], [{}]), 1):
            await evil.publish(emit(number=number, room=room))
            await evil.publish(emit(number=10 + number, skip_sid=[room]))
        await until(lambda: host.bus.health()["invalid"] == 6)
        async with raw(host.port) as client:
            auth = {"session": token(), "pid": pid}
            assert (await joined(client, "40" + json.dumps(auth)))[0] == sid


async def joined(client: Raw, connect: str) -> tuple[str, str]:
    """Open a websocket and a namespace on it; return the sid and the private id."""
    await client.upgrade()
    client.send(frame(connect.encode()))
    welcome = json.loads((await client.frame())[1][2:])
    return welcome["sid"], welcome["pid"]


@on_each_transport
async def test_messages_of_every_wrong_shape(redis: Redis, tmp_path: Path, transport: str) -> None:
    """A host drops and counts all of them, writes a line for each cause, and goes on."""
    bad: list[Any] = [emit(number=n) | changes for n, changes in enumerate(BAD_EMITS, 1)]
    bad += [{"message_id": f"other:{n}"} | message for n, message in enumerate(BAD_METHODS, 1)]
    bad += [announcement(*one, number=100 + n) for n, one in enumerate(BAD_BODIES)]
    deep = json.dumps(announcement("peers", {"word": "hello", "state": {"a": "DEEP"}}))
    bad += [deep.replace('"DEEP"', "[" * n + "]" * n).encode() for n in (600, 900, 960, 980, 5_000)]
    bad += [b"[" * 200_000, b"\xff", b"null", b"[1]", b"{}", b'{"a":' * 10_000, b"{" + b" " * MB]
    async with (
        victim(tmp_path, TRANSPORT=transport, BUS=redis.setting) as host,
        intruder(redis) as evil,
    ):
        for _ in range(20):
            await evil.publish(*bad)
            health = await evil.settled(host)  # or Redis cuts off a host with much to read
        assert health["bus"]["invalid"] == 20 * len(bad)
        assert health["status"] == "degraded"
        assert "do not belong on the bus" in health["bus"]["why"]
        assert len(host.log()) < 50
        assert not [line for line in host.log() if "ERROR forged" in line or "Traceback" in line]


@on_each_transport
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400"])
async def test_numbers_that_are_none(redis: Redis, transport: str, number: str) -> None:
    """What JSON cannot say reaches no browser over the bus."""
    async with buses.host(redis.setting, transport) as host, intruder(redis) as evil:
        client = await host.client()
        body = json.dumps(emit()).replace('"ghost"]', f"{number}]")
        await evil.publish(body.encode(), emit("honest", event="honest"))
        assert await client.receive("honest") == "ghost"
        assert client.inbox.unread("news") == []
        assert host.bus.health()["invalid"] == 1


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"room": {"a": 1}}, 400),
        ({"room": [["a"]]}, 400),
        ({"namespace": ["/"]}, 400),
        ({"data": "NaN"}, 400),
        ({"data": "1e400"}, 400),
        ({"data": "9" * 5_000}, 400),
        ({"data": "[" * 100_000}, 400),
        ({"binary": True}, 400),
    ],
)
async def test_loopback_checks_the_shape(change: dict[str, Any], status: int) -> None:
    """A function's message has the shape of one too, and is JSON."""
    headers = {"Authorization": f"Bearer {loopback_token(SECRET)}"}
    body = json.dumps(emit() | change)
    if "data" in change:
        body = json.dumps(emit()).replace('["ghost"]', f"[{change['data']}]")
    async with (
        loopback() as url,
        aiohttp.ClientSession(headers=headers) as http,
        http.post(url, data=body) as answer,
    ):
        assert answer.status == status
        assert (await answer.text()).endswith(".\n")


@pytest.mark.parametrize("authorization", ["Bearer \udcff", "Bearer é", "\udcc3("])
async def test_loopback_refuses_any_authorization(authorization: str) -> None:
    """Bytes of any kind in the header are refused, not an error of the host's."""
    head = f"POST /bus HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nAuthorization: {authorization}"
    async with loopback() as url, raw(int(url.split(":")[2].split("/")[0])) as client:
        client.send(head.encode("utf-8", "surrogateescape") + b"\r\n\r\nx")
        assert (await client.head()).startswith("HTTP/1.1 403 ")


async def test_loopback_takes_nothing_compressed() -> None:
    """A message comes as it is: 300 bytes could be a megabyte."""
    headers = {"Authorization": f"Bearer {loopback_token(SECRET)}", "Content-Encoding": "gzip"}
    async with (
        loopback() as url,
        aiohttp.ClientSession(headers=headers) as http,
        http.post(url, data=b"\x1f\x8b") as answer,
    ):
        assert answer.status == 415


@asynccontextmanager
async def loopback() -> AsyncIterator[str]:
    """The address of a host's loopback."""
    alone = Host(open_bus("local"), "fast")
    alone.web.router.add_post("/bus", Loopback(alone.sio, SECRET).emit)
    async with alone.serving():
        yield f"{alone.url}bus"


async def test_thousands_of_greetings(redis: Redis, tmp_path: Path) -> None:
    """Hosts that are none are bounded in number, answered together, and write a line or two."""
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
    """However many hosts are lost at once, the log has one line."""
    async with victim(tmp_path, BUS=redis.setting) as host, intruder(redis) as evil:
        word = {"word": "alive", "state": {}}
        await evil.publish(*(announcement("peers", word, f"ghost{n}") for n in range(500)))
        assert (await evil.settled(host))["bus"]["peers"] == 500
        await when(host, lambda bus: not bus["peers"])
        assert len([line for line in host.log() if "lost" in line]) == 1


async def test_report_without_end(redis: Redis, tmp_path: Path) -> None:
    """What one host says of its visitors takes bounded memory; beyond it the bus is degraded."""
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
    """A message that is larger than any may be costs no more than its bytes."""
    async with victim(tmp_path, BUS=redis.setting) as host, intruder(redis) as evil:
        cpu = host.cpu()
        large = json.dumps(emit(data=[{"a": 1}] * 250_000)).encode()
        assert len(large) > 2 * MB
        for number in range(1, 21):  # one by one: Redis cuts off who has much to read
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
    """The address of a server that lets everybody in, and then replies as a test says."""
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
    """A reply that announces half a gigabyte ends the connection after a few megabytes."""
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
async def test_server_that_makes_no_sense(reply: bytes) -> None:
    """Replies of every kind where others belong end the connection in words."""

    async def greet(writer: asyncio.StreamWriter) -> None:
        writer.write(reply)

    async with answering(greet) as address:
        connection = await Connection.open(Address.parse(address))
        await until(lambda: not connection.is_open)
        with pytest.raises(OSError, match="no Redis"):
            await connection.ask("PING")
