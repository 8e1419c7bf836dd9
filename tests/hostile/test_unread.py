"""What waits until its client reads takes little memory, and nobody waits long for a crowd."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from socket_host.namespace import Namespace, large_answer
from tests.fuzz.network import Network, WebSocket, answer
from tests.kit.hosts import PATIENCE, limited, on_each_transport, serving, token
from tests.kit.memory import MB, memory
from tests.kit.protocol_client import frame, handshake, http_client
from tests.kit.waiting import until

_OBJECTS = ",".join(["{}"] * 30_000)  # 90 kB, which take 2 MB when parsed
_NEWS = "x" * 100_000  # more than may be unread before an event has to wait


@dataclass
class Note:
    """A payload; what else it has is ignored."""

    text: str


class Garden(Namespace):
    """Answers at once, much, or late."""

    answered = 0

    async def on_count(self, sid: str, *values: Any) -> int:
        self.answered += 1
        return self.answered

    @large_answer
    async def on_many(self, sid: str, value: Any) -> str:
        return _NEWS

    async def on_late(self, sid: str, note: Note) -> None:
        await asyncio.sleep(1_000)


@pytest.fixture
def network() -> Iterator[Network]:
    with Network(Garden, recovery_seconds=0, ping_interval=1e6) as network:
        yield network


def stalled(network: Network) -> WebSocket:
    """Return a client that has joined, has much to read, and does not read."""
    socket = network.joined()
    socket.connection.stall()
    network.loop.run(network.host.sio.emit("news", _NEWS))
    return socket


@pytest.mark.parametrize(
    "packets",
    [
        [f'42["count",[{_OBJECTS}]]'],
        [f'451-["count",{{"_placeholder":true,"num":0}},[{_OBJECTS}]]', b"x"],
        [f'42["late",{{"text":"x","x":[{_OBJECTS}]}}]'],
    ],
    ids=["event", "with an attachment", "with a model"],
)
def test_event_that_waits_is_not_parsed(network: Network, packets: list[str | bytes]) -> None:
    """An event that waits takes as much memory as it has bytes, and some more."""
    sockets = [stalled(network) for _ in range(5)]
    with memory(2 * MB):
        for socket in sockets:
            socket.send(*packets)


def test_handler_that_waits_keeps_what_it_needs(network: Network) -> None:
    """The rest of its event is freed before the handler waits for something."""
    sockets = [network.joined() for _ in range(5)]
    with memory(MB):
        for socket in sockets:
            socket.send(f'42["late",{{"text":"x","x":[{_OBJECTS}]}}]')


@on_each_transport
async def test_long_event_does_not_wait_for_a_large_answer(transport: str, tmp_path: Path) -> None:
    """Several of them could wait as long as the client likes, so they are refused."""
    async with (
        serving(tmp_path, Garden, transport=transport) as host,
        http_client(host.port) as http,
        http.websocket() as ann,
    ):
        await ann.receive()
        await ann.send("40" + json.dumps({"session": token("Ann")}))
        await ann.receive()
        await ann.send(f'421["many",[{_OBJECTS}]]')
        assert "too long" in await ann.receive()
        await ann.send('422["many",[1,2,3]]')
        assert _NEWS in await ann.receive()


@on_each_transport
@pytest.mark.parametrize("way", ["websocket", "polling"])
async def test_client_that_reads_nothing_is_closed(
    way: str, transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for it is bounded, though it sends pongs; the others get everything meanwhile."""
    limited(monkeypatch, backlog=100_000, stall_time=0.2)
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(
            serving(tmp_path, Garden, transport=transport, ping_interval=3_600)
        )
        http = await stack.enter_async_context(http_client(host.port))
        ann = await stack.enter_async_context(http.websocket())
        await ann.receive()
        await ann.send("40" + json.dumps({"session": token("Ann")}))
        assert (await ann.receive()).startswith("40")
        if way == "polling":
            await (await http.open()).post("40" + json.dumps({"session": token("Eve")}))
        else:
            await deaf(host.port, stack)
        await until(lambda: host.namespaces[0].health()["clients"] == 2)
        async with asyncio.timeout(PATIENCE):
            while not host.transport.closed().get("slow clients"):
                await host.sio.emit("news", _NEWS)
                assert (await ann.receive()).startswith('42["news"')
        await until(lambda: len(host.transport.connections()) == 1)
        server = host.sio if transport == "stock" else host.sio.eio.engine
        assert not server.slow_readers._timeouts
        assert not server.backlogs


async def deaf(port: int, stack: AsyncExitStack) -> None:
    """A client that has joined and reads nothing more."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    _, writer = await asyncio.open_connection(sock=sock, limit=1)
    stack.callback(writer.close)
    writer.write(handshake() + frame(b"40" + json.dumps({"session": token("Eve")}).encode()))


def test_messages_that_wait_share_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it, the client whose messages wait longest is closed, and no other."""
    limited(monkeypatch, partial=300_000)
    with Network(Garden, recovery_seconds=0, ping_interval=1e6) as network:
        sockets = [stalled(network) for _ in range(5)]
        for socket in sockets:
            socket.send(f'421["count","{_NEWS[:80_000]}"]')
        assert [socket.connection.lost for socket in sockets] == [True] * 2 + [False] * 3
        assert network.host.transport.closed() == {"slow clients": 2}
        for socket in sockets[2:]:
            socket.connection.stall(False)
            assert socket.receive()[-1].startswith("431[")
        engine = network.host.sio.eio.engine
        assert not engine.input.held
        assert not len(engine.input)


def test_slow_clients_share_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for clients that are slow for a while is bounded for all of them together."""
    limited(monkeypatch, unread=250_000)
    with Network(Garden, recovery_seconds=0, ping_interval=5) as network:
        ann, slow = network.joined(), [network.joined() for _ in range(5)]
        for one in slow:
            one.connection.stall()
        network.loop.run(network.host.sio.emit("news", _NEWS))
        assert not any(one.connection.lost for one in slow)
        for _ in range(5):
            network.loop.move(4)  # a ping comes every five seconds
            for one in (ann, *slow):
                one.send("3")
        assert [one.connection.lost for one in slow] == [True] * 3 + [False] * 2
        slow[-1].connection.stall(False)
        assert slow[-1].receive()
        assert not ann.connection.lost
        engine = network.host.sio.eio.engine
        for one in (ann, *slow):
            one.connection.cut()
        network.loop.move(60)
        assert engine.slow_readers._unread.held == 0
        assert len(engine.slow_readers._unread) == 0


def test_long_queue_comes_in_pieces(network: Network) -> None:
    """A client that polls seldom gets everything in order, but not in one long response."""
    sid = network.poll()
    network.ask(f"&sid={sid}", b"40")
    network.ask(f"&sid={sid}")
    for number in range(20):
        network.loop.run(network.host.sio.emit("news", f"{number} {_NEWS}"))
    heard: list[str] = []
    while len(heard) < 20:
        body = answer(network.ask(f"&sid={sid}"))[1]
        assert len(body) < 4 * len(_NEWS)
        heard += [packet.partition(" ")[0] for packet in body.split("\x1e")]
    assert heard == [f'42["news","{number}' for number in range(20)]


def test_posts_that_wait_are_counted(network: Network) -> None:
    """Bodies of POSTs that wait for earlier events of a client that does not poll are input."""
    sid = network.poll()
    network.ask(f"&sid={sid}", b"40")
    network.loop.run(network.host.sio.emit("news", _NEWS))
    network.ask(f"&sid={sid}", f'421["count","{_NEWS[:80_000]}"]'.encode())
    network.ask(f"&sid={sid}", f'422["count","{_NEWS[:80_000]}"]'.encode())
    engine = network.host.sio.eio.engine
    assert engine.input.held > 160_000
    network.ask(f"&sid={sid}")
    network.loop.settle()
    assert not engine.input.held


def test_clients_that_send_much_take_turns(network: Network) -> None:
    """A client's only event is answered long before all those that came in the same moment."""
    garden = network.host.namespaces[0]
    crowd, ann = [network.joined() for _ in range(100)], network.joined()
    for one in crowd:
        one.connection.arrive(frames(100))
    ann.send('421["count"]')
    (ack,) = ann.receive()
    assert garden.answered == 10_000 + 1
    assert json.loads(str(ack)[3:])[0] < 6_000


def test_every_turn_comes(network: Network) -> None:
    """All packets are handled, each client's in their order, by polling too."""
    sids = [network.poll() for _ in range(20)]
    for sid in sids:
        network.ask(f"&sid={sid}", b"40")
        network.ask(f"&sid={sid}")
    crowd = [network.joined() for _ in range(20)]
    for one in crowd:
        one.connection.arrive(frames(90))
    for sid in sids:
        network.ask(f"&sid={sid}", "\x1e".join(packets(90)).encode())
    for one in crowd:
        acks = [str(ack).partition("[")[0] for ack in one.receive()]
        assert acks == [f"43{n}" for n in range(90)]
    assert network.host.namespaces[0].answered == 40 * 90


def packets(count: int) -> list[str]:
    """Return as many events, with acks."""
    return [f'42{number}["count"]' for number in range(count)]


def frames(count: int) -> bytes:
    """Return them as frames."""
    sent = [packet.encode() for packet in packets(count)]
    return b"".join(bytes((0x81, 0x80 | len(one), 0, 0, 0, 0)) + one for one in sent)
