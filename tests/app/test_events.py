"""The chat's events: their acks for valid and invalid payloads."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from functions.model.payloads import MAX_ID, MAX_TEXT
from functions.model.room_log import BATCH, PAGE
from socket_host.app import TRANSPORTS, SocketHost
from tests.kit.clients import PythonClient, clients, raw_client
from tests.kit.hosts import token, url
from tests.kit.yours import serving


@pytest.fixture(params=sorted(TRANSPORTS))
async def host(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SocketHost]:
    """A new host, on each transport."""
    async with serving(tmp_path, transport=request.param) as running:
        yield running


@pytest.fixture
async def pair(host: SocketHost) -> AsyncIterator[tuple[PythonClient, PythonClient]]:
    """Ann and Bob, in the lobby."""
    async with clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        yield ann, await people.connect(url(host), token("Bob"))


def fill(folder: Path, room: str, count: int) -> None:
    """Store messages 1 to `count` in a room."""
    rows = [(room, n, str(n), "eve", "Eve", str(n), n) for n in range(1, count + 1)]
    with closing(sqlite3.connect(folder / "rooms.sqlite3")) as database, database:
        database.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


async def test_join_leaves_the_former_room(
    host: SocketHost, pair: tuple[PythonClient, PythonClient]
) -> None:
    """A client is in one room: after joining another, it gets no more events from the first."""
    ann, bob = pair
    await bob.call("join", {"room": "den"})
    await ann.call("message", {"id": "1", "text": "lobby"})
    await ann.call("join", {"room": "den"})
    await ann.call("message", {"id": "2", "text": "den"})
    received = await bob.receive("message")
    assert (received["room"], received["text"], received["seq"]) == ("den", "den", 1)
    assert not bob.inbox.unread("message")


@pytest.mark.parametrize(
    ("after", "seqs", "more"),
    [
        ({}, range(222 - PAGE, 222), False),
        ({"after": None}, range(222 - PAGE, 222), False),
        ({"after": 0}, range(1, BATCH + 1), True),
        ({"after": 21}, range(22, 222), False),
        ({"after": 20}, range(21, 221), True),
        ({"after": 221}, range(0), False),
        ({"after": 9999}, range(0), False),
    ],
    ids=repr,
)
async def test_join_gives_what_came_after(
    after: dict[str, Any], seqs: range, more: bool, host: SocketHost, tmp_path: Path
) -> None:
    """A new client gets the latest messages; one that sends `after` gets those after it."""
    fill(tmp_path, "tea", 221)
    async with clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        joined = await ann.call("join", {"room": "tea"} | after)
        assert [m["seq"] for m in joined["messages"]] == list(seqs)
        assert joined["more"] is more
        assert joined["last"] == (seqs[-1] if seqs else after["after"])


async def test_history_leads_to_the_end(host: SocketHost, tmp_path: Path) -> None:
    """Requesting history from `last` while there is `more` returns each message once, in order."""
    fill(tmp_path, "lobby", 450)
    async with clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        seqs, last, more = [], 0, True
        while more:
            answer = await ann.call("history", {"after": last})
            assert answer.keys() == {"messages", "last", "more"}
            seqs += [m["seq"] for m in answer["messages"]]
            last, more = answer["last"], answer["more"]
        assert seqs == list(range(1, 451))


async def test_repeated_message_is_stored_once(pair: tuple[PythonClient, PythonClient]) -> None:
    """A message sent again, at once or later, gets the same ack, and is emitted only once."""
    ann, bob = pair
    message = {"id": "same", "text": "once"}
    acks = await asyncio.gather(*(ann.call("message", message) for _ in range(3)))
    acks.append(await ann.call("message", message))
    assert [ack["seq"] for ack in acks] == [1, 1, 1, 1]
    await ann.call("message", {"id": "next", "text": "twice"})
    assert [(await bob.receive("message"))["text"] for _ in range(2)] == ["once", "twice"]
    assert not bob.inbox.unread("message")


async def test_ack_goes_before_the_broadcast(host: SocketHost) -> None:
    """The sender of a message gets the ack before the message itself."""
    async with raw_client(url(host), token("Ann")) as ann:
        await ann.receive('42["who"')
        await ann.websocket.send_str('427["message",{"id":"1","text":"a"}]')
        packets = [await ann.websocket.receive_str() for _ in range(2)]
        assert packets[0].startswith("437[{")
        assert packets[1].startswith('42["message",{')


async def test_text_of_the_room_is_kept(pair: tuple[PythonClient, PythonClient]) -> None:
    """A client that joins gets the room's current text, even if it is not in the log yet."""
    ann, bob = pair
    await ann.call("input-change", "Once upon")
    await ann.call("input-change", "Once upon a time")
    assert (await bob.call("join", {"room": "lobby"}))["text"] == "Once upon a time"
    assert (await bob.call("join", {"room": "den"}))["text"] == ""


LONG = "x" * (MAX_TEXT + 1)


def each(event: str, *values: Any) -> list[tuple[str, list[Any]]]:
    """An event with each of some values."""
    return [(event, [value]) for value in values]


SEQS: list[Any] = [-1, 1.5, "1", True, 2**53, 10**30, {}]
IDS: list[Any] = [None, 1, "", "x" * (MAX_ID + 1), {}]
TEXTS: list[Any] = [None, 1, "", " \n\t", LONG, {}, ["a"]]
BAD: list[tuple[str, list[Any]]] = [
    *each("join", None, 1, "den", [], {}, {"room": 5}, {"room": ""}),
    *[("join", [{"room": room}]) for room in ("Den", "-den", "a" * 65, "a b", "ä", None, ["a"])],
    *(("join", [{"room": "den", "after": after}]) for after in SEQS),
    ("join", []),
    ("join", [{"room": "den"}, 1]),
    *each("history", None, {}, {"after": None}, {"after": -1}, 7, "x"),
    *each("input-change", None, 1, {}, [], True, LONG),
    ("input-change", []),
    *each("message", None, 1, "hello", [], {}, {"id": "1"}, {"text": "a"}),
    *(("message", [{"id": id_, "text": "a"}]) for id_ in IDS),
    *(("message", [{"id": "1", "text": text}]) for text in TEXTS),
    *[
        ("message", [{"id": "1", "text": t}])
        for t in ("\u200b", "\0", "a\0b", "\u3164\ufe0f \u2060")
    ],
    *[("input-change", ["a\0b"]), ("input-change", ["\x1b[2J"])],
    ("message", []),
    ("message", [{"id": "1", "text": "a"}] * 2),
    *each("typing", None, 0, 1, "true", {}, []),
    ("typing", []),
    *[(name, []) for name in ("", "on_message", "__class__", "trigger-event", "admit", "x" * 999)],
    *[(name, [{}, {}]) for name in ("connect", "disconnect", "start", "stop", "error")],
]
# Possible only in raw JSON: lone surrogates, and events whose name is not a string.
BAD_JSON = [
    '["input-change","\\ud800"]',
    '["message",{"id":"\\udfff","text":"a"}]',
    '["message",{"id":"1","text":"\\ud83d"}]',
    '["\\ud800"]',
    "[null]",
    "[5,6]",
    "[[]]",
    '[{"a":1}]',
    "[true]",
    '["join",{"room":NaN}]',
    '["message",{"id":"1","text":"a"},null,null,null,null,null]',
]


async def test_bad_shapes_are_answered(host: SocketHost) -> None:
    """A client that sends invalid data gets an error in a sentence, and can continue."""
    shapes = [json.dumps([name, *values]) for name, values in BAD] + BAD_JSON
    for number, data in enumerate(shapes, 1):
        async with raw_client(url(host), token("Ann")) as ann:
            answer = await ann.ask(data)
            assert {"error"} <= answer.keys() <= {"error", "field"}, data
            assert answer["error"].endswith("."), data
            fine = json.dumps(["message", {"id": f"fine {number}", "text": "fine"}])
            assert (await ann.ask(fine))["seq"] == number, data
            assert host.namespaces[0].refused.total() == number, data


async def test_good_shapes_at_their_limits(host: SocketHost) -> None:
    """The longest texts, ids and names are valid, as are an empty text and any script."""
    async with clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        assert await ann.call("input-change", "") == {}
        assert await ann.call("input-change", "😀" * MAX_TEXT) == {}
        sent = {"id": "i" * MAX_ID, "text": "\té😀\u2028" + "x" * (MAX_TEXT - 4), "more": 1}
        assert (await ann.call("message", sent))["seq"] == 1
        assert (await ann.receive("message"))["text"] == sent["text"]
        joined = await ann.call("join", {"room": "a" * 64, "after": 2**53 - 1, "more": 1})
        assert joined["room"] == "a" * 64


async def test_log_outage(
    host: SocketHost,
    pair: tuple[PythonClient, PythonClient],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While messages cannot be stored, the ack asks to try again; afterwards that works."""
    ann, bob = pair
    with closing(sqlite3.connect(tmp_path / "rooms.sqlite3")) as database:
        database.execute("ALTER TABLE message RENAME TO gone")
        for _ in range(2):
            refused = await ann.call("message", {"id": "1", "text": "a"})
            assert refused.keys() == {"error", "retry"}
            assert (await ann.call("history", {"after": 0})).keys() == {"error", "retry"}
        database.execute("ALTER TABLE gone RENAME TO message")
    assert (await ann.call("message", {"id": "1", "text": "a"}))["seq"] == 1
    assert (await bob.receive("message"))["seq"] == 1
    logged = [r.levelname for r in caplog.records if r.name == "socket_host.events.room_log"]
    assert logged == ["ERROR"]
    assert "sqlite" not in str(refused)
