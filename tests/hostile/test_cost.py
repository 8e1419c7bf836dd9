"""The cost of strangers' bytes: at most a microsecond each, and little memory, for any input.

`pytest tests/hostile/test_cost.py -s` prints the table in docs/security.md.
"""

from __future__ import annotations

import gc
import time
import tracemalloc

import pytest

from tests.fuzz.network import Network
from tests.fuzz.wire import Wire
from tests.fuzz.world import Stage
from tests.hostile.kinds import KINDS, PAYLOAD, joined_poller
from tests.kit.hosts import SECRET

_MOST = 1.0  # microseconds of processor time per byte on the wire
_MOST_A_REQUEST = 200.0  # microseconds for a short request: generous, to detect a jump
_SLACK = 2.0  # times as much on a busy machine
_MOST_GROWTH = 2.5  # growth of a byte's cost with four times as many: 4 if it is quadratic
_MOST_KEPT = 0.5  # bytes kept per byte, after the sender has gone
_REMEMBERS = ("bus", "pages")  # these have caches, whose bounds have their own tests
_OURS = 300_000  # bytes that the measurement and Python's free lists may keep
_TRIES = 3


def _network(name: str) -> Network:
    return Network(
        Stage,
        Wire if name.startswith("bus") else None,
        session_secret=SECRET,
        max_payload=PAYLOAD,
        recovery_seconds=20,
        ping_interval=1e6,
    )


def _micros(name: str, size: int) -> float:
    """Return the processor time that an attack takes, in microseconds for each byte."""
    with _network(name) as network:
        attack = KINDS[name].prepare(network, size)
        gc.collect()
        gc.disable()
        before = time.process_time()
        sent = attack()
        seconds = time.process_time() - before
        gc.enable()
    return seconds / sent * 1e6


def _seen(name: str, size: int) -> tuple[int, int, int]:
    """Return how many bytes were read, the peak memory, and the memory kept."""
    with _network(name) as network:
        attack = KINDS[name].prepare(network, size)
        gc.collect()
        gc.disable()  # in production, cycles stay for a long time
        tracemalloc.start()
        sent = attack()
        peak = tracemalloc.get_traced_memory()[1]
        for connection in network.connections:
            connection.cut()
            connection.read()
        network.connections.clear()
        network.loop.move(60)
        kept = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        gc.enable()
    return sent, peak, kept


@pytest.mark.parametrize("name", KINDS)
def test_processor(name: str) -> None:
    """A byte on the wire costs at most a microsecond, however many there are."""
    size = KINDS[name].size
    few = many = float("inf")
    for _ in range(_TRIES):  # other processes can only make it slower
        few, many = min(few, _micros(name, size)), min(many, _micros(name, 4 * size))
        if many <= _MOST * _SLACK and many <= _MOST_GROWTH * few:
            break
    print(
        f"{name:42} {many:8.3f} µs a byte, {many / few:4.1f} times as much with four times as many"
    )
    assert many <= _MOST * _SLACK
    assert many <= _MOST_GROWTH * few


@pytest.mark.parametrize("name", KINDS)
def test_memory(name: str) -> None:
    """A byte on the wire takes little memory, and none after its sender has gone.

    That holds without the garbage collector, which seldom runs.
    """
    kind = KINDS[name]
    sent, peak, kept = _seen(name, 4 * kind.size)
    print(f"{name:42} {peak / sent:8.1f} bytes a byte, {kept / sent:8.1f} afterwards")
    assert peak <= kind.peak * sent + _OURS
    if not name.startswith(_REMEMBERS):
        assert kept <= _MOST_KEPT * sent + _OURS


REQUESTS = {
    "GET /health": b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET of nothing": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET that opens a session": (
        b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n"
    ),
    "GET of an unknown session": (
        b"GET /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: x\r\n\r\n"
    ),
    "POST of a noop": (
        b"POST /socket.io/?EIO=4&transport=polling&sid=$ HTTP/1.1\r\nHost: x\r\n"
        b"Content-Length: 1\r\n\r\n6"
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_short_request(name: str) -> None:
    """A short request has a fixed cost, which is more than a microsecond a byte."""
    best, count = float("inf"), 50
    for _ in range(_TRIES):
        with _network("requests") as network:
            request = REQUESTS[name].replace(b"$", joined_poller(network).encode())
            connection = network.connect()
            gc.collect()
            gc.disable()
            before = time.process_time()
            for _ in range(count):
                connection.send(request)
                assert connection.read().startswith(b"HTTP/1.1 ")
            best = min(best, time.process_time() - before)
            gc.enable()
    micros = best / count * 1e6
    print(f"{name:42} {micros:8.0f} µs, {micros / len(request):.1f} µs a byte")
    assert micros <= _MOST_A_REQUEST * _SLACK
