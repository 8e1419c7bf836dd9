"""The world of a host: clients that do anything, in any order, and two honest ones."""

from __future__ import annotations

import contextlib
import gc
import json
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Self

from socket_host.namespace import Namespace
from socket_host.transport.native.client import Client
from socket_host.transport.native.environ import Environ
from socket_host.transport.native.frames import FrameReader
from socket_host.transport.native.head import Head
from socket_host.transport.native.message import SEPARATOR, Message
from socket_host.transport.native.rooms import Member
from socket_host.transport.native.websocket import WebSocket as Protocol
from socket_host.transport.timeout_queue import TimeoutQueue
from tests.fuzz.network import Connection, Network, answer
from tests.kit.protocol_client import frame, handshake

PAYLOAD = 2_000  # bytes of one packet
_RECOVERY = 20.0  # seconds
_OVER = 300.0  # seconds after which a client that left must be forgotten
_MOST_HELD = (1 << 20) + 64 * 1024  # bytes for one client: what may wait for it, and a margin
_UNJOINED = 32 * 1024  # bytes for one that is in no namespace: its head, and a margin

_CONTAINERS = (list, tuple, set, frozenset, dict, deque)
_CARRIERS = (Client, Protocol, FrameReader, Member, Message, Environ, Head)


class Step(NamedTuple):
    """A client's action: the name of a method of World, the client's number, and data."""

    does: str
    who: int
    data: bytes


class Stage(Namespace):
    """Handles events in all possible ways."""

    async def on_echo(self, sid: str, *values: Any) -> tuple[Any, ...]:
        return values

    async def on_say(self, sid: str, value: Any) -> None:
        await self.emit("said", value)

    async def on_whisper(self, sid: str, value: Any) -> None:
        await self.emit("said", value, room="red", skip_sid=sid)

    async def on_enter(self, sid: str) -> None:
        await self.enter_room(sid, "red")

    async def on_leave(self, sid: str) -> None:
        await self.leave_room(sid, "red")

    async def on_ask(self, sid: str) -> None:
        await self.emit("question", to=sid, callback=lambda *answers: None)

    async def on_remember(self, sid: str, value: Any) -> None:
        await self.save_session(sid, {"value": value})

    async def on_wait(self, sid: str) -> None:
        await self.server.sleep(3)

    async def on_go(self, sid: str) -> None:
        await self.disconnect(sid)


class World:
    """A host under any steps; after each, the invariants are checked."""

    def __init__(self) -> None:
        self.network = Network(
            Stage, max_payload=PAYLOAD, recovery_seconds=_RECOVERY, max_connections=50
        )
        self.engine = self.network.host.sio.eio.engine
        self.connections: list[Connection] = []
        self.sids: list[str] = []
        self.pids: list[str] = []
        self._steps = 0
        self._http = False  # whether aiohttp got requests: invalid ones leave cycles
        self._honest = self.network.joined()
        self._poller = Poller(self.network)
        self._others = set(self.engine.clients)  # the honest clients

    def __enter__(self) -> Self:
        gc.collect()
        gc.disable()
        return self

    def __exit__(self, *exception: object) -> None:
        gc.enable()
        self.network.__exit__(*exception)

    def take(self, step: Step) -> None:
        """Do a step, and check the invariants."""
        self._http |= step.does in ("poll", "get", "post", "request")
        getattr(self, step.does)(step.who, step.data)
        self._learn()
        self._steps += 1
        self.network.loop.move(0.05)
        if self._steps % 8 == 0:
            self._serve()
        self._look()

    # Steps

    def websocket(self, who: int, data: bytes) -> None:
        """Open a session by websocket, and send data along with the handshake."""
        connection = self._connect()
        connection.send(handshake() + data)

    def join(self, who: int, data: bytes) -> None:
        """Send CONNECT on a new websocket."""
        self._connect().send(handshake(), _text(b"40" + data))

    def resume(self, who: int, data: bytes) -> None:
        """Send CONNECT with a private id that was issued to any client."""
        auth = {"pid": _one(self.pids, who), "offset": data.decode(errors="replace")}
        self._connect().send(handshake(), _text(b"40" + json.dumps(auth).encode()))

    def poll(self, who: int, data: bytes) -> None:
        """Open a session by polling."""
        self.network.ask("", None, self._connect())

    def get(self, who: int, data: bytes) -> None:
        """Poll a session, by polling or any other."""
        self.network.ask(f"&sid={_one(self.sids, who)}", None, self._connect())

    def post(self, who: int, data: bytes) -> None:
        """Post packets to a session, by polling or any other."""
        body = data.replace(b"|", SEPARATOR.encode())
        self.network.ask(f"&sid={_one(self.sids, who)}", body, self._connect())

    def upgrade(self, who: int, data: bytes) -> None:
        """Open a websocket for an existing session, and send the packets of an upgrade."""
        query = f"EIO=4&transport=websocket&sid={_one(self.sids, who)}"
        self._connect().send(handshake(query), *(_text(one) for one in data.split(b"|")))

    def text(self, who: int, data: bytes) -> None:
        """Send text frames."""
        self._send(who, b"".join(_text(one) for one in data.split(b"|")))

    def binary(self, who: int, data: bytes) -> None:
        """Send a binary frame."""
        self._send(who, frame(data, 2))

    def control(self, who: int, data: bytes) -> None:
        """Send a ping or a close frame."""
        self._send(who, frame(data[:125], 9 if len(data) % 2 else 8))

    def raw(self, who: int, data: bytes) -> None:
        """Send any bytes, one by one if there are few."""
        self._send(who, *([bytes([one]) for one in data] if len(data) < 20 else [data]))

    def request(self, who: int, data: bytes) -> None:
        """Send any bytes on a new connection."""
        self._connect().send(data.replace(b"\n", b"\r\n"))

    def cut(self, who: int, data: bytes) -> None:
        """Lose a connection."""
        if self.connections:
            _one(self.connections, who).cut(ConnectionResetError() if data else None)

    def finish(self, who: int, data: bytes) -> None:
        """Close one half of a connection."""
        if self.connections:
            _one(self.connections, who).finish()

    def stall(self, who: int, data: bytes) -> None:
        """Stop reading, or resume."""
        if self.connections:
            _one(self.connections, who).stall(not data)

    def wait(self, who: int, data: bytes) -> None:
        """Advance the clock by some seconds."""
        for _ in range((0, 1, 5, 12)[who % 4]):
            self.network.loop.move(5.0 if who % 4 else 0.5)
            self._serve()

    def emit(self, who: int, data: bytes) -> None:
        """Make the host emit to everybody, or to a room."""
        value = data.decode(errors="replace") * (1, 10, 300)[who % 3]
        room = "red" if who % 2 else None
        self.network.loop.run(self.network.host.sio.emit("news", value, room=room))

    def dismiss(self, who: int, data: bytes) -> None:
        """Make the host close a client's session."""
        if sid := _one(self.sids, who):
            self.network.loop.run(self.network.host.transport.close(sid))

    def _connect(self) -> Connection:
        self.connections.append(self.network.connect())
        return self.connections[-1]

    def _send(self, who: int, *pieces: bytes) -> None:
        if self.connections:
            _one(self.connections, who).send(*pieces)

    def _learn(self) -> None:
        """Note the ids that the host has issued since."""
        for sid in self.engine.clients:
            if sid not in self._others:
                self._others.add(sid)
                self.sids.append(sid)
        for connection in self.connections:
            for part in connection.read().split(b'"pid":"')[1:]:
                self.pids.append(part.partition(b'"')[0].decode())

    # Invariants

    def _serve(self) -> None:
        """Assert that the honest clients are served."""
        packets = self._honest.receive()
        self._honest.send(*("3" for packet in packets if packet == "2"))
        self._honest.send(f'42{self._steps}["echo",{self._steps}]')
        assert f"43{self._steps}[{self._steps}]" in self._honest.receive()
        self._poller.serve(f'42{self._steps}["echo",{self._steps}]')

    def _look(self) -> None:
        self.network.healthy()
        clients = self.engine.clients
        for sid, client in clients.items():
            assert client.sid == sid
            assert not client.closed
            socket = client.socket
            assert socket is None or client.closing or not socket.transport.is_closing()
            limit = _MOST_HELD if client.members else _UNJOINED
            assert (held := weight(client)) <= limit, f"{held} bytes for one client"
        for space in self.network.host.sio.manager.rooms.values():
            everybody = space.everybody.members
            assert everybody
            for member in everybody.values():
                assert clients.get(member.client.sid) is member.client
            for room in space.rooms.values():
                assert room.members
                assert room.members.keys() <= everybody.keys()

    def end(self) -> None:
        """Disconnect all clients; assert that they are forgotten."""
        self._serve()
        for connection in self.network.connections:
            connection.stall(False)
            connection.cut()
        for connections in (self.connections, self.network.connections):
            connections.clear()
        del self._honest, self._poller
        self.network.loop.move(_OVER)
        self._look()
        sio = self.network.host.sio
        assert not self.engine.clients
        assert not sio.environ
        assert not sio.manager.rooms
        assert not sio.manager.callbacks
        assert not sio.resuming
        left = {
            name: value
            for name, value in vars(self.engine).items()
            if isinstance(value, (TimeoutQueue, set)) and value
        }
        assert not left, f"what is left: {left}"
        assert not self.network.host.namespaces[0]._clients
        kinds = {Client, Member}
        if not self._http:
            kinds.add(Protocol)
        kept = [one for one in gc.get_objects(0) if type(one) in kinds]
        assert not kept, f"still referenced: {kept}"


class Poller:
    """An honest client that polls."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._sid = f"&sid={network.poll()}"
        self._get: Connection | None = None
        self._post = network.ask(self._sid, b"40")
        assert answer(self._post) == (200, "ok")

    def serve(self, event: str) -> None:
        """Send an event; assert that its ack arrives."""
        received: list[str] = []
        for body in (event, ""):
            for _ in range(10):
                if not (packets := self._take_packets()):
                    break
                received += packets
                body += SEPARATOR + "3" if "2" in packets else ""
            if body := body.strip(SEPARATOR):
                self._network.ask(self._sid, body.encode(), self._post)
                assert answer(self._post) == (200, "ok")
        received += self._take_packets()
        assert event.replace("42", "43", 1).replace('"echo",', "") in received

    def _take_packets(self) -> list[str]:
        if self._get is None:
            self._get = self._network.ask(self._sid)
        else:
            status, body = answer(self._get)
            if not status:
                return []
            assert status == 200, body
            self._network.ask(self._sid, None, self._get)
            return body.split(SEPARATOR)
        return self._take_packets()


def weight(client: Client) -> int:
    """Return how many bytes of text and binary are kept for one client."""
    total, seen, todo = 0, set(), [client]
    while todo:
        one: Any = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, (str, bytes, bytearray)):
            total += len(one)
        elif isinstance(one, _CARRIERS) or type(one).__name__ == "Partial":
            todo += [getattr(one, name) for name in _slots(type(one)) if hasattr(one, name)]
        elif isinstance(one, dict):
            todo += [*one, *one.values()]
        elif isinstance(one, _CONTAINERS):
            todo += one
    return total


def _slots(kind: type) -> list[str]:
    return [name for one in kind.__mro__ for name in getattr(one, "__slots__", ())] or []


def _one(things: list[Any], who: int) -> Any:
    return things[-1 - who % len(things)] if things else ""


def _text(data: bytes) -> bytes:
    return frame(data, 1)


STEPS: tuple[str, ...] = tuple(
    name
    for name, member in vars(World).items()
    if isinstance(member, Callable) and not name.startswith("_") and name not in ("take", "end")  # type: ignore[arg-type]
)


def run(steps: list[Step]) -> None:
    """Run steps in a new world."""
    with contextlib.ExitStack() as stack:
        world = stack.enter_context(World())
        for step in steps:
            world.take(step)
        world.end()
