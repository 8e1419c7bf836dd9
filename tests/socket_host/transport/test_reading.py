"""Reading: when a client's input is read and when not, without losing any of it."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterator
from typing import Any

import pytest

from socket_host.namespace import Namespace
from socket_host.transport.limits import Limits
from socket_host.transport.native.budget import Budget
from socket_host.transport.native.client import Client
from socket_host.transport.native.message import SEPARATOR, Message
from tests.fuzz.network import Network, WebSocket, answer
from tests.kit.protocol_client import CLOSE, PING, TEXT, frame

_SLOW = 3.0  # seconds that handlers take


class Stage(Namespace):
    """Makes clients busy in several ways."""

    async def on_ask(self, sid: str) -> None:
        await self.emit("question", to=sid, callback=self._answered)

    async def _answered(self, *answers: Any) -> None:
        await self.server.sleep(_SLOW)

    async def on_echo(self, sid: str, *values: Any) -> tuple[Any, ...]:
        return values

    async def on_slow(self, sid: str, value: Any) -> None:
        await self.emit("begins", value)
        await self.server.sleep(_SLOW)
        await self.emit("ends", value)


@pytest.fixture
def network() -> Iterator[Network]:
    with Network(Stage, recovery_seconds=0, ping_interval=1e6) as network:
        yield network


def client(network: Network) -> Client:
    """Return the only client."""
    (one,) = network.host.sio.eio.engine.clients.values()
    assert isinstance(one, Client)
    return one


def _asked(packets: list[Any]) -> str:
    """Return the ack number of a server's event."""
    (question,) = (one for one in packets if str(one).endswith('["question"]'))
    return str(question)[2:].partition("[")[0]


def _upgrading(network: Network, sid: str) -> WebSocket:
    return network.websocket(f"EIO=4&transport=websocket&sid={sid}")


def test_busy_client_that_upgrades_is_not_read(network: Network) -> None:
    """While packets from polling wait, the websocket is not read."""
    sid = network.poll()
    query = f"&sid={sid}"
    network.ask(query, b"40")
    network.ask(query, b'42["ask"]')
    number = _asked(answer(network.ask(query))[1].split(SEPARATOR))
    network.ask(query, f'43{number}["yes"]{SEPARATOR}421["echo",1]'.encode())
    socket = _upgrading(network, sid)
    socket.send("2probe")
    socket.send("5")
    assert client(network).busy
    socket.send('422["echo",2]')
    assert not socket.connection.is_reading()
    assert len(client(network).inbox or ()) == 1
    network.loop.move(_SLOW + 1)
    assert socket.receive() == ["3probe", "431[1]", "432[2]"]
    assert socket.connection.is_reading()


def test_client_that_leaves_while_it_is_busy(network: Network) -> None:
    """A busy client that leaves, even during an upgrade, leaves nothing behind."""
    socket = network.joined()
    socket.send('42["ask"]')
    socket.send(f'43{_asked(socket.receive())}["yes"]', *['42["echo",1]'] * 300)
    assert not socket.connection.is_reading()
    socket.connection.cut()
    network.loop.move(_SLOW + 60)
    engine = network.host.sio.eio.engine
    assert not engine.clients
    assert not len(engine.input)
    assert not engine.input.held


def test_full_websocket_is_watched_after_its_upgrade(network: Network) -> None:
    """A websocket that was full before the upgrade has a backlog limit after it."""
    sid = network.poll()
    network.ask(f"&sid={sid}", b"40")
    socket = _upgrading(network, sid)
    socket.connection.stall()
    socket.connection.send(frame(bytes(125), PING) * 700)
    assert socket.connection.get_write_buffer_size() > 1 << 16
    socket.send("2probe")
    socket.send("5")
    assert client(network).upgraded
    for _ in range(40):
        network.loop.run(network.host.sio.emit("news", "x" * 100_000))
    network.loop.move(Limits.stall_time + 1)
    assert socket.connection.lost
    assert network.host.transport.closed()["slow clients"] == 1


def test_full_websocket_continues_after_reading(network: Network) -> None:
    """Messages to a websocket that was full at its upgrade arrive, in order."""
    sid = network.poll()
    network.ask(f"&sid={sid}", b"40")
    socket = _upgrading(network, sid)
    socket.connection.stall()
    socket.connection.send(frame(bytes(125), PING) * 700)
    socket.send("2probe")
    socket.send("5")
    network.loop.run(network.host.sio.emit("news", 1))
    socket.connection.stall(False)
    network.loop.run(network.host.sio.emit("news", 2))
    assert socket.receive()[-2:] == ['42["news",1]', '42["news",2]']
    assert client(network).write is not None


def test_closing_client_that_does_not_read(network: Network) -> None:
    """Its session ends at once, and its connection soon."""
    socket = network.joined()
    socket.connection.stall()
    network.loop.run(network.host.sio.emit("news", "x" * 100_000))
    socket.connection.send(frame(b"\x03\xe8", CLOSE))
    assert not network.host.sio.eio.engine.clients
    network.loop.move(10)
    assert socket.connection.lost


def test_caught_up_with_held_messages(network: Network) -> None:
    """`caught_up` ends when no messages are held any more."""
    socket = network.joined()
    one, message = client(network), Message.of("4" + "x" * 100_000)
    socket.connection.stall()
    network.loop.run(network.host.sio.emit("news", "x" * 100_000))
    one.count_held(message)
    waiting = network.loop.create_task(one.caught_up())
    socket.connection.stall(False)
    assert not waiting.done()
    one.uncount([message])
    network.loop.settle()
    assert waiting.done()


@pytest.mark.parametrize("held", [False, True])
def test_handlers_one_at_a_time_when_a_client_has_read(network: Network, held: bool) -> None:
    """With `async_handlers=False`, an event that had to wait is handled before the next."""
    network.host.sio.async_handlers = False
    socket = network.joined()
    if held:
        socket.connection.stall()
        network.loop.run(network.host.sio.emit("news", "x" * 100_000))
    socket.send('42["slow",1]', '42["slow",2]')
    socket.connection.stall(False)
    network.loop.move(3 * _SLOW)
    order = ['42["begins",1]', '42["ends",1]', '42["begins",2]', '42["ends",2]']
    assert socket.receive()[-4:] == order


def test_stray_cancellation_leaves_no_client_behind(network: Network, monkeypatch: Any) -> None:
    """A handler that awaits something cancelled ends only its own work."""

    async def cancelled(*_: Any) -> None:
        raise asyncio.CancelledError

    sio = network.host.sio
    first, second = network.joined(), network.joined()
    second.send('42["ask"]')
    number = _asked(second.receive())
    monkeypatch.setattr(sio, "_handle_ack", cancelled)
    second.send(f'43{number}["yes"]', '421["echo",1]')
    assert second.receive() == ["431[1]"]
    monkeypatch.setattr(network.host.namespaces[0], "trigger_event", cancelled)
    first.connection.cut()
    second.connection.cut()
    network.loop.move(60)
    assert not sio.eio.engine.clients
    assert not sio.environ
    assert not sio.manager.rooms


def test_complete_messages_reset_the_age_of_input(network: Network) -> None:
    """The age of incomplete input is that of its message, not of the stream."""
    budget: Budget = network.host.sio.eio.engine.input
    busy, idle = network.joined(), network.joined()
    long = frame(b'42["?","' + b"x" * 1_000 + b'"]', TEXT)
    busy.connection.send(long[:600])
    idle.connection.send(long[:600])
    busy.connection.send(long[600:] + long[:200])
    budget.limit = 700
    idle.connection.send(long[600:601])
    assert idle.connection.lost
    busy.connection.send(long[200:])
    busy.send('421["echo",1]')
    assert busy.receive() == ["431[1]"]


def test_refused_client_that_has_gone(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that resets its connection while it is refused causes no error."""

    def gone() -> None:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    connection = network.connect()
    monkeypatch.setattr(connection, "write_eof", gone)
    connection.send(b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n\r\n")
    assert answer(connection)[0] == 415
    network.loop.move(5)
    assert connection.lost
    network.healthy()
