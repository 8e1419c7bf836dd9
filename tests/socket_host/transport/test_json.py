"""Data on which a client library would close the connection is refused when it is emitted."""

import asyncio
import copy
import math
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from socketio.exceptions import ConnectionRefusedError as Refused

from socket_host.app import SocketHost
from socket_host.namespace import Namespace
from tests.kit.clients import JavaScriptClient, clients, raw_client
from tests.kit.hosts import serving, token, url

PLACE = {"_placeholder": True, "num": 5}
ITSELF: list[Any] = []
ITSELF.append(ITSELF)

# Values that JavaScript or JSON lacks.
UNSENDABLE = {
    "NaN": math.nan,
    "Infinity": {"a": [math.inf]},
    "several values": ("text", -math.inf),
    "NaN for a key": {math.nan: 1},
    "NaN beside bytes": [b"x", math.nan],
    "set": {1, 2},
    "set beside bytes": [b"x", {1}],
    "bytes for a key": {b"x": 1},
    "an object": object(),
    "an object deep beside bytes": {"a": [b"x", {"b": object()}]},
    "more digits than Python writes": 10**5_000,
    "placeholder beside bytes": [b"x", PLACE],
    "more attachments than the official parser takes": [b"x"] * 11,
    "a list that contains itself": ITSELF,
}

NOT_JSON = r"The data of '(said|message)' cannot be sent as JSON: "


class Doors(Namespace):
    """Emits data in every possible way."""

    value: Any = None

    def admit(self, sid: str, environ: Any, auth: Any) -> Any:
        if isinstance(auth, dict) and auth.get("refuse"):
            raise Refused("No.", self.value)
        return super().admit(sid, environ, auth)

    async def on_emit(self, sid: str) -> str:
        return await self._try(self.emit, "said", self.value)

    async def on_to_itself(self, sid: str) -> str:
        return await self._try(self.emit, "said", self.value, to=sid)

    async def on_send(self, sid: str) -> str:
        return await self._try(self.send, self.value)

    async def on_call(self, sid: str) -> str:
        return await self._try(self.call, "said", self.value, to=sid, timeout=0.1)

    async def on_soon(self, sid: str) -> str:
        return await self._try(self.emit_soon, "said", self.value)

    async def on_latest(self, sid: str) -> str:
        return await self._try(self.emit_latest, "said", self.value, room=None)

    async def on_ack(self, sid: str) -> Any:
        return self.value

    async def on_echo(self, sid: str, value: Any) -> Any:
        await self.emit("said", value)
        return value

    async def _try(self, emit: Any, *arguments: Any, **options: Any) -> str:
        try:
            emission = emit(*arguments, **options)
            if emission is not None:
                await emission
        except ValueError as error:
            return str(error)
        return "emitted"


@asynccontextmanager
async def listening(
    folder: Path, transport: str, **settings: Any
) -> AsyncIterator[tuple[SocketHost, Doors, JavaScriptClient]]:
    """A host, its namespace, and an official client, which closes on data that it cannot read."""
    async with (
        clients("javascript") as people,
        serving(folder, Doors, transport=transport, **settings) as host,
    ):
        client = await people.connect(url(host), token("Ann"), reconnection=False)
        doors = host.namespaces[0]
        assert isinstance(doors, Doors)
        yield host, doors, client


@pytest.fixture(params=["fast", "stock"])
async def there(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    async with listening(tmp_path, request.param) as there:
        yield there


async def test_emit_is_refused(there: Any) -> None:
    """Every way to emit raises an error with the reason, and recipients stay connected."""
    host, doors, client = there
    for what, doors.value in UNSENDABLE.items():
        for door in ("emit", "to_itself", "send", "call"):
            said = await client.call(door)
            assert re.match(NOT_JSON, said), (what, door)
        with pytest.raises(ValueError, match=NOT_JSON):
            await host.sio.emit("said", doors.value)
    assert await client.call("echo", "still here") == "still here"
    assert client.inbox.unread("said") == ["still here"]
    assert client.inbox.unread("disconnect") == []


async def test_emit_soon_and_latest_are_refused(there: Any) -> None:
    """Data that cannot be sent is refused by the call, and not later."""
    _, doors, client = there
    for what, doors.value in UNSENDABLE.items():
        for door in ("soon", "latest"):
            said = await client.call(door)
            assert said.startswith("The data of 'said' cannot be sent as JSON: "), (what, door)
    for event in (None, 5, b"x", "connect"):
        for emit in (doors.emit_soon, doors.emit_latest):
            with pytest.raises(ValueError, match="event"):
                emit(event, 1, room=None)
    assert not doors._latest._pauses
    assert await client.call("echo", "still here") == "still here"
    assert client.inbox.unread("said") == ["still here"]


class Name(str):
    """A subclass of str."""

    __slots__ = ()


async def test_emit_soon_and_latest_copy_their_arguments(there: Any) -> None:
    """Later changes to data and rooms have no effect."""
    _, doors, client = there
    value: Any = {Name("a"): [1, 2.5, {"b": (None, True)}], 7: 10**21, "c": Name("d")}
    sent = {"a": [1, 2.5, {"b": [None, True]}], "7": 10**21, "c": "d"}
    (sid,) = doors._clients
    for _ in range(2):  # the second `emit_latest` waits for the end of the pause
        data, rooms, skipped = copy.deepcopy(value), [sid], ["nobody"]
        doors.emit_soon("soon", data, room=rooms, skip_sid=skipped)
        doors.emit_soon("several", (data, bytearray(b"xy")))
        doors.emit_latest("latest", data, room=None, skip_sid=skipped)
        data["a"][2]["b"] = {"too late"}
        data.clear()
        rooms.clear()
        skipped.append(sid)
        assert await client.receive("soon") == sent
        assert await client.receive("several") == sent
        assert await client.receive("latest") == sent
    assert client.inbox.unread("disconnect") == []


async def test_ack_says_that_it_cannot_be_sent(there: Any) -> None:
    """An ack that cannot be sent is replaced by an error."""
    host, doors, client = there
    for what, value in UNSENDABLE.items():
        if value is ITSELF and host.settings.transport == "stock":
            continue  # python-socketio fails before our code is called
        doors.value = (value,)
        answer = await client.call("ack")
        assert answer == {"error": "The answer cannot be sent as JSON."}, what
    assert await client.call("echo", 1) == 1


async def test_names_of_events(there: Any) -> None:
    """An event's name is a string that Socket.IO does not reserve."""
    host, _, client = there
    for event in (None, True, 5, math.nan, b"x", "connect", "disconnect"):
        with pytest.raises(ValueError, match="event"):
            await host.sio.emit(event, 1)
    assert await client.call("echo", 1) == 1


async def test_numbers_that_arrive(there: Any) -> None:
    """A number that JSON lacks arrives as null, and is sent as null."""
    host, _, client = there
    async with raw_client(url(host), token("Bob")) as bob:
        for number in ("1e400", "-1e400", "NaN", "-Infinity", "1" + "0" * 5_000):
            assert await bob.ask(f'["echo",[{number}]]') == [None]
            assert await client.receive("said") == [None]
    assert await client.call("echo", 1) == 1


async def test_refusal_that_is_not_json(tmp_path: Path) -> None:
    """A client that is refused with data that is not JSON gets the host's message."""
    async with listening(tmp_path, "fast") as (host, doors, client):
        doors.value = math.nan
        async with raw_client(url(host), None) as bob:
            await bob.websocket.send_str('40{"refuse":true}')
            assert "Try again" in await bob.receive("44")
        assert await client.call("echo", 1) == 1


async def test_surrogates_and_names_of_events(there: Any) -> None:
    """A lone surrogate is not UTF-8, but valid in JSON, and is sent in both directions."""
    _, _, client = there
    lone = "socket.emit('echo', '\\ud800', (answer) => done(answer.charCodeAt(0)))"
    assert await client.script(f"return new Promise((done) => {lone})") == 0xD800


async def test_name_that_is_a_number(tmp_path: Path) -> None:
    """An event whose name is a number has no handler, as with Node."""
    async with listening(tmp_path, "fast") as (host, _, _), raw_client(url(host), token()) as bob:
        assert "There is no handler" in (await bob.ask("[5]"))["error"]


async def test_bytes_and_placeholders(there: Any) -> None:
    """Bytes may be anywhere; a placeholder without bytes is an ordinary dictionary."""
    _, doors, client = there
    doors.value = {"deep": [b"\x01", {"a": bytearray(b"\x02")}], "text": "x"}
    heard = "socket.once('said', (b) => done(b.deep[0].length + b.deep[1].a.length + b.text))"
    waiting = asyncio.ensure_future(client.script(f"return new Promise((done) => {heard})"))
    assert await client.call("emit") == "emitted"
    assert await waiting == "2x"
    assert await client.call("echo", PLACE) == PLACE
