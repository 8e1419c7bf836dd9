"""python-socketio's features: rooms, sessions, handlers, managers, serializers, the admin UI."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import socketio
from socketio.async_pubsub_manager import AsyncPubSubManager

from socket_host.transport import versions
from socket_host.transport.native.manager import FanOut
from socket_host.transport.native.socket_server import SocketServer
from socket_host.transport.versions import VersionError
from tests.kit.protocol_client import PATIENCE
from tests.kit.waiting import until
from tests.socket_host.transport.staging import Stage, stage


class Bus(AsyncPubSubManager):
    """A manager for several hosts whose bus is a list."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[dict[str, Any]] = []
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def _publish(self, data: dict[str, Any]) -> None:
        self.published.append(data)

    async def _listen(self) -> AsyncIterator[dict[str, Any]]:
        while True:
            yield await self.incoming.get()


class BusFanOut(Bus, FanOut):
    """The same, with our fan-out underneath."""


async def test_rooms_of_a_member(on: Stage) -> None:
    """Rooms are entered, left and closed; a sid is a room that no other client can enter."""
    (a, _), (b, _) = [await on.client() for _ in range(2)]
    await on.sio.enter_room(a, "red")
    await on.sio.enter_room(b, "red")
    await on.sio.enter_room(a, 7)
    assert sorted(map(str, on.sio.rooms(a))) == sorted([a, "red", "7"])
    assert {sid for sid, _ in on.sio.manager.get_participants("/", "red")} == {a, b}
    await on.sio.leave_room(a, "red")
    assert {sid for sid, _ in on.sio.manager.get_participants("/", "red")} == {b}
    await on.sio.close_room("red")
    assert on.sio.rooms(b) == [b]
    with pytest.raises(ValueError, match="sid room"):
        await on.sio.enter_room(a, b)
    with pytest.raises(ValueError, match="not connected"):
        await on.sio.enter_room("nobody", "red")


async def test_session_lasts_to_the_disconnect_handler(on: Stage) -> None:
    """A session can be read until the disconnect handler has ended."""
    seen: list[Any] = []

    @on.sio.on("disconnect")
    async def disconnect(sid: str, reason: str) -> None:
        seen.append((await on.sio.get_session(sid), on.sio.rooms(sid), reason))

    sid, ws = await on.client()
    await on.sio.save_session(sid, {"name": "Ada"})
    async with on.sio.session(sid) as session:
        session["age"] = 36
    await on.sio.enter_room(sid, "red")
    await ws.ws.close()
    await until(lambda: seen)
    assert seen == [({"name": "Ada", "age": 36}, [sid, "red"], "transport close")]
    assert on.sio.rooms(sid) == []


@pytest.mark.parametrize(
    ("packet", "reason"), [("41", "client disconnect"), ("1", "client disconnect")]
)
async def test_reason_of_a_disconnect(on: Stage, packet: str, reason: str) -> None:
    """Handlers get python-socketio's reason, and are called once."""
    reasons: list[str] = []
    on.sio.on("disconnect", lambda sid, reason: reasons.append(reason))
    _, ws = await on.client()
    await ws.send(packet)
    await until(lambda: reasons)
    await ws.ws.close()
    await until(lambda: not on.sio.eio.engine.clients)
    assert reasons == [reason]


async def test_environ_describes_the_request(on: Stage) -> None:
    """Handlers get the request as a WSGI environment, and can add to it."""
    seen: dict[str, Any] = {}

    @on.sio.on("connect")
    async def connect(sid: str, environ: Any) -> None:
        environ["app.user"] = "Ada"
        seen.update(environ)

    on.http.session.headers["Cookie"] = "a=1"
    on.http.session.headers["X-Thing"] = "x"
    sid, _ = await on.client()
    assert seen["HTTP_COOKIE"] == "a=1"
    assert seen["HTTP_X_THING"] == "x"
    assert seen["PATH_INFO"] == "/socket.io/"
    assert "transport=websocket" in seen["QUERY_STRING"]
    assert seen["REMOTE_ADDR"] == "127.0.0.1"
    assert on.sio.get_environ(sid)["app.user"] == "Ada"
    assert on.sio.transport(sid) == "websocket"


async def test_refused_connection_gets_a_reason(on: Stage) -> None:
    """A refusal reaches the client as CONNECT_ERROR; events emitted before it do not."""

    @on.sio.on("connect")
    async def connect(sid: str, environ: Any) -> None:
        await on.sio.emit("early", to=sid)
        raise socketio.exceptions.ConnectionRefusedError("no", {"code": 1})

    async with on.http.websocket() as ws:
        await ws.receive()
        await ws.send("40")
        assert await ws.receive() == '44{"message":"no","data":{"code":1}}'
        assert not on.sio.manager.rooms


async def test_emit_in_connect_comes_after_the_answer(on: Stage) -> None:
    """A client gets the answer to CONNECT before any event, including broadcasts."""

    @on.sio.on("connect")
    async def connect(sid: str, environ: Any) -> None:
        await on.sio.emit("early", to=sid)
        await on.sio.emit("all")
        await asyncio.sleep(0.01)

    async with on.http.websocket() as ws:
        await ws.receive()
        await ws.send("40")
        assert (await ws.receive()).startswith("40{")
        assert [await ws.receive(), await ws.receive()] == ['42["early"]', '42["all"]']


async def test_failing_connect_handler_refuses(on: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """An error in a connect handler is logged once, and the client gets no details."""
    caplog.set_level(logging.ERROR, "socketio.server")
    on.sio.logger.propagate = True

    @on.sio.on("connect")
    async def connect(sid: str, environ: Any) -> None:
        raise RuntimeError("secret")

    async with on.http.websocket() as ws:
        await ws.receive()
        await ws.send("40")
        assert (await ws.receive()).startswith('44{"message":"The server could not')
    assert not on.sio.manager.rooms


async def test_failing_handlers_leave_the_connection(on: Stage) -> None:
    """An error in an event or a disconnect handler ends neither the connection nor the host."""

    @on.sio.on("fail")
    async def fail(sid: str) -> None:
        raise RuntimeError("expected")

    @on.sio.on("disconnect")
    async def disconnect(sid: str, reason: str) -> None:
        raise RuntimeError("expected")

    on.sio.on("echo", lambda sid, value: value)  # need not be async
    _, ws = await on.client()
    await ws.send('421["fail"]', '422["echo",2]')
    assert await ws.receive() == "432[2]"
    await ws.ws.close()
    await until(lambda: not on.sio.eio.engine.clients)
    assert not on.sio.manager.rooms


async def test_handlers_one_at_a_time() -> None:
    """`async_handlers=False` finishes an event of a client before the next begins."""
    async with AsyncExitStack() as stack:
        on = await stage(stack, async_handlers=False)
        order: list[str] = []

        @on.sio.on("x")
        async def x(sid: str, number: int) -> int:
            order.append(f"begin {number}")
            await asyncio.sleep(0.01)
            order.append(f"end {number}")
            return number

        _, ws = await on.client()
        await ws.send('421["x",1]', '422["x",2]')
        assert [await ws.receive(), await ws.receive()] == ["431[1]", "432[2]"]
        assert order == ["begin 1", "end 1", "begin 2", "end 2"]


async def test_handlers_have_a_task(on: Stage) -> None:
    """A handler runs in its own task, which libraries like redis-py rely on."""
    tasks: list[Any] = []

    @on.sio.on("x")
    async def x(sid: str) -> None:
        tasks.append(asyncio.current_task())
        async with asyncio.timeout(1):
            await asyncio.sleep(0)

    _, ws = await on.client()
    await ws.send('421["x"]', '422["x"]')
    assert [await ws.receive(), await ws.receive()] == ["431[]", "432[]"]
    assert None not in tasks
    assert tasks[0] is not tasks[1]


async def test_class_based_namespace(on: Stage) -> None:
    """A registered namespace object handles events."""

    class Chat(socketio.AsyncNamespace):  # type: ignore[misc]  # python-socketio ships no types
        async def on_hello(self, sid: str, name: str) -> str:
            await self.emit("hello", name)
            return name

    on.sio.register_namespace(Chat("/chat"))
    _, ws = await on.client("40/chat,")
    await ws.send('42/chat,1["hello","Ada"]')
    assert [await ws.receive(), await ws.receive()] == [
        '42/chat,["hello","Ada"]',
        '43/chat,1["Ada"]',
    ]


async def test_manager_of_several_hosts() -> None:
    """A manager of the library works with our fan-out: it publishes and delivers events."""
    async with AsyncExitStack() as stack:
        manager = BusFanOut()
        on = await stage(stack, client_manager=manager)
        stack.callback(lambda: manager.thread.cancel())
        sid, ws = await on.client()
        await on.sio.emit("x", 1, room=sid)
        assert await ws.receive() == '42["x",1]'
        assert manager.published[-1]["event"] == "x"
        far = manager.published[-1] | {"host_id": "another", "data": [2]}
        await manager.incoming.put(far)
        assert await ws.receive() == '42["x",2]'
        calling = asyncio.create_task(on.sio.call("ask", to=sid))
        packet = await ws.receive()
        await ws.send(f'43{packet[2]}["yes"]')
        assert await calling == "yes"
        await on.sio.disconnect(sid)
        assert await ws.receive() == "41"


async def test_manager_without_fan_out_is_refused() -> None:
    """A manager without our fan-out is refused, with what to do."""
    with pytest.raises(TypeError, match="FanOut"):
        SocketServer(client_manager=socketio.AsyncManager())  # type: ignore[arg-type]


class Shouting(socketio.packet.Packet):  # type: ignore[misc]  # python-socketio ships no types
    """A custom serializer."""

    def encode(self) -> Any:
        encoded = super().encode()
        return encoded.upper() if isinstance(encoded, str) else encoded


async def test_other_serializer() -> None:
    """A custom serializer is used for every packet."""
    async with AsyncExitStack() as stack:
        on = await stage(stack, serializer=Shouting)
        on.sio.on("echo", lambda sid, value: value)
        async with on.http.websocket() as ws:
            await ws.receive()
            await ws.send("40")
            assert (await ws.receive()).startswith('40{"SID":')
            await ws.send('421["echo","x"]')
            assert await ws.receive() == '431["X"]'
            await on.sio.emit("y")
            assert await ws.receive() == '42["Y"]'


@pytest.mark.parametrize("event", ['"connect"', '"disconnect"', "1", "[]", "null"])
async def test_events_of_the_library_are_not_for_clients(on: Stage, event: str) -> None:
    """A client cannot call the handlers of connect and disconnect with events of that name."""
    called: list[Any] = []

    @on.sio.on("disconnect")
    def disconnect(sid: str, reason: str) -> None:
        called.append(reason)

    _, ws = await on.client()
    await ws.send(f'42[{event},"x"]')
    assert await ws.closed() == 1008
    await until(lambda: called)
    assert called == ["transport error"]


async def test_admin_interface(on: Stage) -> None:
    """`instrument` reports sockets, rooms and statistics to the admin namespace."""
    admin = on.sio.instrument(auth=False, server_stats_interval=0.05)
    on.stack.push_async_callback(admin.shutdown)
    _, ws = await on.client("40/admin,")
    received: dict[str, Any] = {}

    async def listen_for(event: str) -> Any:
        async with asyncio.timeout(PATIENCE):
            while event not in received:
                packet = json.loads((await ws.receive_message()).removeprefix("42/admin,"))
                received[packet[0]] = packet[1:]
        return received.pop(event)

    assert "ALL_EVENTS" in (await listen_for("config"))[0]["supportedFeatures"]
    sid, _ = await on.client()
    connected = (await listen_for("socket_connected"))[0]
    assert connected["id"] == sid or connected["nsp"] == "/admin"
    await on.sio.enter_room(sid, "red")
    await listen_for("room_joined")
    stats = (await listen_for("server_stats"))[0]
    assert stats["clientsCount"] == 2
    await ws.send(f'42/admin,["_disconnect","/",false,"{sid}"]')
    await listen_for("socket_disconnected")


def test_other_versions_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With another version than the one it was written for, the transport does not start."""
    monkeypatch.setitem(versions.WRITTEN_FOR, "python-socketio", "0.0.1")
    with pytest.raises(VersionError, match=r"python-socketio 0\.0\.1"):
        SocketServer()


async def test_rooms_can_be_iterated(on: Stage) -> None:
    """`manager.rooms` is like python-socketio's: rooms by name, each from sid to Engine.IO sid."""
    (ann, _), (bob, _) = await on.client(), await on.client()
    await on.sio.enter_room(ann, "garden")
    rooms = on.sio.manager.rooms["/"]
    assert set(rooms) == set(rooms.keys()) == {None, ann, bob, "garden"}
    assert {room: set(members) for room, members in rooms.items()} == {
        None: {ann, bob},
        ann: {ann},
        bob: {bob},
        "garden": {ann},
    }
    assert sum(map(len, rooms.values())) == 5
    assert dict(rooms)["garden"] == {ann: on.sio.manager.eio_sid_from_sid(ann, "/")}
    assert list(on.sio.manager.get_namespaces()) == ["/"]


async def test_room_of_its_own_sid(on: Stage) -> None:
    """A client is in the room of its own sid; entering it again does nothing."""
    (ann, ws), (bob, _) = await on.client(), await on.client()
    await on.sio.enter_room(ann, ann)
    await on.sio.emit("hello", room=ann)
    assert await ws.receive() == '42["hello"]'
    assert on.sio.rooms(ann) == [ann]
    with pytest.raises(ValueError, match="Another client's sid room"):
        await on.sio.enter_room(ann, bob)
