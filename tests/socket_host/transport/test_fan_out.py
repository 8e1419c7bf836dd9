"""Broadcasts and acks by the client manager: complete, in order, and to the right clients."""

import asyncio
import json
from typing import Any

import pytest

from tests.kit.protocol_client import SEPARATOR
from tests.kit.waiting import until
from tests.socket_host.transport.staging import Stage


async def test_broadcast_with_exceptions(on: Stage) -> None:
    """`skip_sid` may be one sid or several; `room` may be one room or several."""
    (a, wa), (b, wb), (c, wc) = [await on.client() for _ in range(3)]
    await on.sio.emit("x", 1, skip_sid=a)
    await on.sio.emit("x", 2, skip_sid=[a, b])
    await on.sio.emit("x", 3, to=[a, c], skip_sid=c)
    await on.sio.enter_room(a, "red")
    await on.sio.enter_room(b, "blue")
    await on.sio.emit("x", 4, room=["red", "blue"])
    await on.sio.emit("x", 5, room="red")
    await on.sio.emit("x", 6, to=c)
    await on.sio.emit("end")
    for ws, expected in ((wa, [3, 4, 5]), (wb, [1, 4]), (wc, [1, 2, 6])):
        received = []
        while (packet := await ws.receive()) != '42["end"]':
            received.append(json.loads(packet[2:])[1])
        assert received == expected


async def test_broadcasts_of_a_turn_are_one_write(
    on: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything sent to a client in one iteration of the loop is one write."""
    sid, ws = await on.client()
    client = on.sio.manager.member(sid, "/").client
    written: list[bytes] = []
    write = client.write
    client.write = lambda data: (written.append(data), write(data))
    client.refresh()
    for number in range(16):
        await on.sio.emit("x", number)
    assert [await ws.receive() for _ in range(16)] == [f'42["x",{n}]' for n in range(16)]
    assert len(written) == 1


async def test_ack_does_not_overtake_a_broadcast(on: Stage) -> None:
    """Emits of a handler, to any rooms, arrive before its ack."""

    @on.sio.on("go")
    async def go(sid: str) -> str:
        await on.sio.emit("first", room="red")
        await on.sio.emit("second")
        await on.sio.emit("third", to=sid)
        await on.sio.emit("others", skip_sid=sid)
        return "fourth"

    sid, ws = await on.client()
    await on.client()
    await on.sio.enter_room(sid, "red")
    await ws.send('421["go"]')
    received = [await ws.receive() for _ in range(4)]
    assert received == ['42["first"]', '42["second"]', '42["third"]', '431["fourth"]']


async def test_sender_gets_its_ack_after_the_broadcast(on: Stage) -> None:
    """The same if all broadcasts of an iteration go to one room."""

    @on.sio.on("go")
    async def go(sid: str) -> str:
        await on.sio.emit("a")
        await on.sio.emit("b", skip_sid=sid)
        return "c"

    _, ws = await on.client()
    _, other = await on.client()
    await ws.send('421["go"]')
    assert [await ws.receive() for _ in range(2)] == ['42["a"]', '431["c"]']
    assert [await other.receive() for _ in range(2)] == ['42["a"]', '42["b"]']


async def test_emit_before_a_disconnect_arrives(on: Stage) -> None:
    """Events emitted before a disconnect arrive before the close."""
    sid, ws = await on.client()
    await on.sio.emit("bye")
    await on.sio.disconnect(sid)
    assert [await ws.receive(), await ws.receive()] == ['42["bye"]', "41"]


async def test_many_emits_in_one_turn_let_others_run(on: Stage) -> None:
    """A handler that emits in a loop does not block the host, and loses nothing."""
    _, ws = await on.client()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    for number in range(3000):
        await on.sio.emit("x", number)
    counting.cancel()
    for number in range(3000):
        assert await ws.receive() == f'42["x",{number}]'
    assert turns > 5


async def test_pollers_and_websockets_get_the_same(on: Stage) -> None:
    """Polling clients get every broadcast too, once and in order."""
    _, ws = await on.client()
    _, poller = await on.poller()
    for number in range(100):
        await on.sio.emit("x", number)
        if number % 10 == 0:
            await asyncio.sleep(0)
    received: list[str] = []
    while len(received) < 100:
        received += (await poller.get())[1].split(SEPARATOR)
    assert received == [f'42["x",{n}]' for n in range(100)]
    assert [await ws.receive() for _ in range(100)] == received


async def test_binary_broadcast(on: Stage) -> None:
    """Attachments follow their packet, with nothing in between."""
    _, ws = await on.client()
    await on.sio.emit("x", {"a": b"1", "b": [b"2"]})
    await on.sio.emit("y")
    assert json.loads((await ws.receive())[4:])[0] == "x"
    assert [await ws.receive() for _ in range(3)] == [b"1", b"2", '42["y"]']


async def test_data_that_is_not_json_is_an_error(on: Stage) -> None:
    """`emit` raises for data that cannot be sent, and sends nothing."""
    _, ws = await on.client()
    with pytest.raises(ValueError, match="JSON"):
        await on.sio.emit("x", object())
    await on.sio.emit("y")
    assert await ws.receive() == '42["y"]'


@pytest.mark.parametrize("callback", [None, print])
async def test_reserved_event_is_an_error(on: Stage, callback: Any) -> None:
    """`emit` raises for reserved events, on which clients would close the connection."""
    _, ws = await on.client()
    with pytest.raises(ValueError, match="The event 'disconnect' is reserved"):
        await on.sio.emit("disconnect", callback=callback)
    await on.sio.emit("y")
    assert await ws.receive() == '42["y"]'


async def test_call_returns_the_answer(on: Stage) -> None:
    """`call` waits for the client's ack."""
    sid, ws = await on.client()
    calling = asyncio.create_task(on.sio.call("ask", ("a", 1), to=sid))
    assert await ws.receive() == '421["ask","a",1]'
    await ws.send("431[42]")
    assert await calling == 42


async def test_acks_of_a_broadcast(on: Stage) -> None:
    """A broadcast with a callback is acked by everybody."""
    answers: list[Any] = []
    (_, wa), (_, wb) = [await on.client() for _ in range(2)]
    await on.sio.emit("ask", callback=lambda *values: answers.append(values))
    for ws, answer in ((wa, 1), (wb, 2)):
        packet = await ws.receive()
        await ws.send(f"43{packet[2]}[{answer}]")
    await until(lambda: len(answers) == 2)
    assert sorted(answers) == [(1,), (2,)]
