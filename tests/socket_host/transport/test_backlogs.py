"""Backlogs: a client is slow if it makes no progress, not if much is waiting for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from socket_host.namespace import Namespace
from socket_host.transport.limits import Limits
from socket_host.transport.native.engine import Engine
from tests.fuzz.network import Network, WebSocket, answer
from tests.kit.protocol_client import PING, SEPARATOR, frame

_MB = 1 << 20
_LOOK = Limits.stall_time  # seconds between two checks of a client that is behind


class Echo(Namespace):
    """Answers."""

    async def on_echo(self, sid: str, value: Any) -> Any:
        return value


@pytest.fixture(params=[0, 120], ids=["without recovery", "with recovery"])
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    with Network(Echo, recovery_seconds=request.param, ping_interval=1e6) as network:
        yield network


def emit(network: Network, *sizes: int, **options: Any) -> None:
    """Emit events of these sizes in bytes, one after another."""
    for size in sizes:
        network.loop.run(network.host.sio.emit("news", "x" * size, **options))


def engine(network: Network) -> Engine:
    return network.host.sio.eio.engine  # type: ignore[no-any-return]


def slow(network: Network) -> int:
    """How many clients were closed for being slow."""
    return network.host.transport.closed().get("slow clients", 0)


def lengths(socket: WebSocket) -> list[int]:
    """Return the size of each received event, in units of 100,000 bytes."""
    return [len(packet) // 100_000 for packet in socket.receive() if packet[:2] == "42"]


def polling(network: Network) -> str:
    sid = f"&sid={network.poll()}"
    assert answer(network.ask(sid, b"40")) == (200, "ok")
    assert answer(network.ask(sid))[0] == 200
    return sid


def fetched(network: Network, sid: str, count: int) -> list[str]:
    """Poll until so many events have come; return them."""
    heard: list[str] = []
    while len(heard) < count:
        status, body = answer(network.ask(sid))
        assert status == 200
        heard += [packet for packet in body.split(SEPARATOR) if packet.startswith("42")]
    return heard


@pytest.mark.parametrize(
    "sizes", [(1_100_000,), (8_000_000, 10, 10), (3_000_000,) * 4, (17_000_000, 10)]
)
def test_large_events_reach_a_polling_client(network: Network, sizes: tuple[int, ...]) -> None:
    """A client that keeps polling gets everything, whatever its size."""
    sid = polling(network)
    emit(network, *sizes)
    received = fetched(network, sid, len(sizes))
    assert [len(packet) // 1_000 for packet in received] == [size // 1_000 for size in sizes]
    assert answer(network.ask(sid, b'421["echo",1]')) == (200, "ok")
    assert answer(network.ask(sid))[1] == "431[1]"
    assert not slow(network)
    assert not len(engine(network).backlogs)


@pytest.mark.parametrize(
    "sizes", [(1_500_000,), (8_000_000, 100_000), (3_000_000,) * 4, (17_000_000, 100_000)]
)
def test_large_events_reach_a_client_that_reads(network: Network, sizes: tuple[int, ...]) -> None:
    """A client that reads slowly, for longer than between two checks, gets everything."""
    socket = network.joined()
    socket.connection.stall()
    emit(network, *sizes)
    part = sum(sizes) // 10
    for _ in range(8):
        socket.connection.trickle(part)
        network.loop.move(_LOOK)
        assert not socket.connection.lost
    socket.connection.stall(False)
    assert lengths(socket) == [size // 100_000 for size in sizes]
    socket.send('421["echo",1]')
    assert "431[1]" in socket.receive()
    assert not slow(network)
    assert not len(engine(network).backlogs)


def test_client_that_reads_nothing_is_closed(network: Network) -> None:
    """A client that reads nothing of its backlog for a while is closed; others get everything."""
    deaf, other = network.joined(), network.joined()
    deaf.connection.stall()
    emit(network, *[100_000] * 20)
    network.loop.move(_LOOK - 0.1)
    assert not deaf.connection.lost
    network.loop.move(0.2)
    assert deaf.connection.lost
    assert slow(network) == 1
    assert lengths(other) == [1] * 20
    assert not len(engine(network).backlogs)


def test_client_that_stops_reading_is_closed(network: Network) -> None:
    """A client that has read something before is closed too."""
    socket = network.joined()
    socket.connection.stall()
    emit(network, *[100_000] * 30)
    socket.connection.trickle(_MB)
    network.loop.move(_LOOK)
    assert not socket.connection.lost
    network.loop.move(_LOOK)
    assert socket.connection.lost
    assert slow(network) == 1


def test_client_that_stops_polling_is_closed(network: Network) -> None:
    """A polling client that sends no further GET is closed too."""
    sid = polling(network)
    emit(network, 2 * _MB, 10)
    network.loop.move(_LOOK + 0.1)
    assert answer(network.ask(sid))[0] == 400
    assert slow(network) == 1


def test_response_in_progress(network: Network) -> None:
    """A client that is reading a long response is not closed for events sent meanwhile."""
    sid = polling(network)
    emit(network, 3 * _MB)
    poll = network.connect()
    poll.stall()
    poll.send(f"GET /socket.io/?EIO=4&transport=polling{sid} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert poll.get_write_buffer_size() > 0
    emit(network, 2 * _MB, 10, 10)
    for _ in range(3):
        poll.trickle(_MB // 2)
        network.loop.move(_LOOK)
    poll.stall(False)
    assert answer(poll)[0] == 200
    assert [len(packet) // _MB for packet in fetched(network, sid, 3)] == [2, 0, 0]


def test_all_backlogs_have_a_limit(network: Network) -> None:
    """Beyond the limit for all clients, the one that has been behind longest is closed."""
    deaf = [network.joined() for _ in range(5)]
    for socket in deaf:
        socket.connection.stall()
    emit(network, *[_MB] * 40)
    held = sum(s.connection.get_write_buffer_size() for s in deaf if not s.connection.lost)
    assert held < Limits.unread + len(deaf) * 3 * _MB
    assert [socket.connection.lost for socket in deaf] == [True] * 4 + [False]
    network.loop.move(_LOOK)
    assert slow(network) == 5


def test_pings_of_a_client_that_does_not_read(network: Network) -> None:
    """A client that sends pings and reads nothing is closed too."""
    socket = network.joined()
    socket.connection.stall()
    while socket.connection.get_write_buffer_size() <= 2 * _MB:
        socket.connection.send(frame(bytes(125), PING) * 100)
        network.loop.move(0.5)
        assert not socket.connection.lost or slow(network)
        if socket.connection.lost:
            break
    network.loop.move(_LOOK)
    assert socket.connection.lost


def test_names_that_fill_the_replay_buffer(network: Network) -> None:
    """An emit that is larger than the whole replay buffer is still sent."""
    socket = network.joined()
    emit(network, 10, skip_sid=["x" * 1_000] * 20_000)
    emit(network, 10, room=None)
    assert len([packet for packet in socket.receive() if packet[:2] == "42"]) == 2
