"""Messages from the bus with an invalid shape are refused without harm."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from functions.contract.bus import loopback_token
from socket_host.bus import Loopback, open_bus
from socket_host.bus.schema import fault, parse, plain_emit
from tests.hostile.intruders import BAD_EMITS, MB, announcement, emit, intruder
from tests.hostile.victim import victim
from tests.kit import buses
from tests.kit.buses import Host, Redis
from tests.kit.hosts import SECRET, on_each_transport, serving, token
from tests.kit.protocol_client import Raw, frame, raw
from tests.kit.waiting import until

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
    """An event is accepted only in the shape that python-socketio writes."""
    message = emit() | changes
    body = json.dumps(message).encode()
    assert fault(parse(body.decode()))
    if changes.get("message_id") != "a\nb:1":  # SeenMessages refuses it
        assert plain_emit(body) is None


@pytest.mark.parametrize("message", BAD_METHODS)
def test_request_of_another_shape(message: dict[str, Any]) -> None:
    """Other messages of python-socketio's managers are checked too."""
    assert fault({"message_id": "ghost:1"} | message)


@pytest.mark.parametrize(("subject", "body"), BAD_BODIES)
def test_announcement_of_another_shape(subject: Any, body: Any) -> None:
    """Announcements of hosts are checked too."""
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
def test_valid_message_is_accepted(message: dict[str, Any]) -> None:
    """Messages of hosts, functions and python-socketio's managers are valid."""
    assert fault(message) == ""


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", "[-Infinity]", "1e400", "[-1e999]", '{"a":1e999999}', "{} {}", ""]
)
def test_what_is_not_json(text: str) -> None:
    """A number that JSON lacks, or that overflows, is refused."""
    with pytest.raises(ValueError, match=r"."):
        parse(text)


async def test_room_that_is_not_text(redis: Redis, tmp_path: Path) -> None:
    """An event for a room that is not text does not prevent any client's recovery."""
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
    """Join a namespace on a new websocket; return the sid and the private id."""
    await client.upgrade()
    client.send(frame(connect.encode()))
    welcome = json.loads((await client.frame())[1][2:])
    return welcome["sid"], welcome["pid"]


@on_each_transport
async def test_messages_of_every_wrong_shape(redis: Redis, tmp_path: Path, transport: str) -> None:
    """A host drops and counts all of them, logs each cause once, and keeps working."""
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
            health = await evil.settled(host)  # otherwise Redis would disconnect the slow host
        assert health["bus"]["invalid"] == 20 * len(bad)
        assert health["status"] == "degraded"
        assert "Invalid messages arrive" in health["bus"]["why"]
        assert len(host.log()) < 50
        assert not [line for line in host.log() if "ERROR forged" in line or "Traceback" in line]


@on_each_transport
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400"])
async def test_invalid_numbers(redis: Redis, transport: str, number: str) -> None:
    """Values that JSON lacks reach no browser over the bus."""
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
    """A function's message must be JSON with a valid shape too."""
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
    """Any bytes in the header are refused without a server error."""
    head = f"POST /bus HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nAuthorization: {authorization}"
    async with loopback() as url, raw(int(url.split(":")[2].split("/")[0])) as client:
        client.send(head.encode("utf-8", "surrogateescape") + b"\r\n\r\nx")
        assert (await client.head()).startswith("HTTP/1.1 403 ")


async def test_loopback_refuses_compressed_bodies() -> None:
    """Compressed messages are refused, because 300 bytes could be a megabyte."""
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
