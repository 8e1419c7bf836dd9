"""What bytes of strangers cost: at most a microsecond each, and little memory, whatever they say.

`pytest tests/hostile/test_cost.py -s` prints the table that docs/security.md has.
"""

from __future__ import annotations

import gc
import gzip
import json
import time
import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest

from functions.contract.session import COOKIE
from tests.fuzz.network import Connection, Network
from tests.fuzz.test_bus import Wire
from tests.fuzz.world import Stage
from tests.hosts import SECRET, token
from tests.lambda_events import http_api, invoke
from tests.protocol_client import handshake

_MOST = 1.0  # microseconds of processor for a byte on the wire
_SLACK = 2.0  # times as much on a machine that does other things meanwhile
_MOST_GROWTH = 2.5  # times what a byte costs, among four times as many: 4 if it is quadratic
_MOST_PEAK = 50.0  # bytes of memory for a byte on the wire, while it is worked on
_MOST_KEPT = 0.5  # afterwards, when who sent it has gone
_REMEMBERS = ("bus", "pages")  # these remember on purpose, and have tests of their bounds
_OURS = 300_000  # bytes that the measuring may keep, and Python for its next tuples
_READ = 1 << 18  # bytes that an event loop hands over at once
_PAYLOAD = 100_000  # the default of MAX_PAYLOAD
_HEAD = 16_000  # bytes: nearly the longest head that is read
_TRIES = 3
_ENOUGH = 0.1  # seconds of a try after which there are no more

_AUTH = json.dumps({"session": token()})

Attack = Callable[[], int]  # returns how many bytes it sent, and the host took


# Websocket


def _frames(payload: bytes, opcode: int = 1) -> bytes:
    """Return a client's frame, whose mask changes nothing."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0xFF)) + size.to_bytes(8, "big")
    return head + bytes(4) + payload


def _flood(*packets: bytes, joined: bool = True) -> Callable[[Network, int], Attack]:
    """Send frames of the same packets again and again."""
    return _stream(b"".join(map(_frames, packets)), joined=joined)


def _stream(frames: bytes, first: bytes = b"", joined: bool = True) -> Any:
    def prepare(network: Network, size: int) -> Attack:
        socket = network.joined(_AUTH) if joined else network.websocket()
        data = first + frames * (size // len(frames))
        pieces = [data[at : at + _READ] for at in range(0, len(data), _READ)]
        return lambda: _send(socket.connection, pieces)

    return prepare


def _send(connection: Connection, pieces: Iterable[bytes]) -> int:
    sent = 0
    for piece in pieces:
        if connection.is_closing():
            break
        sent += len(piece)
        connection.send(piece)
        connection.read()
    return sent


def _one(text: Callable[[int], bytes], joined: bool = True, opcode: int = 1) -> Any:
    """Send messages that are as long as they may be, each made for its length."""

    def prepare(network: Network, size: int) -> Attack:
        frame = _frames(text(min(size, _PAYLOAD)), opcode)
        sockets = [
            network.joined(_AUTH) if joined else network.websocket()
            for _ in range(max(1, size // _PAYLOAD))
        ]
        return lambda: sum(_send(socket.connection, [frame]) for socket in sockets)

    return prepare


def _trickle(text: bytes, each: int) -> Any:
    """Send a long message in segments of some bytes."""

    def prepare(network: Network, size: int) -> Attack:
        connection = network.joined(_AUTH).connection
        data = _frames(text * (min(size, _PAYLOAD) // len(text)))
        pieces = [data[at : at + each] for at in range(0, len(data), each)]
        return lambda: connection.send(*pieces) or len(data)  # type: ignore[func-returns-value]

    return prepare


def _attachments(network: Network, size: int) -> Attack:
    """Send events with ten small attachments each."""
    places = ",".join(f'{{"_placeholder":true,"num":{number}}}' for number in range(10))
    event = _frames(f'4510-["x",{places}]'.encode()) + _frames(b"x", 2) * 10
    return _stream(event)(network, size)  # type: ignore[no-any-return]


# Heads


def _heads(lines: Callable[[int], str], query: str = "EIO=4&transport=websocket") -> Any:
    """Make handshakes with a head that is as long as it may be."""

    def prepare(network: Network, size: int) -> Attack:
        plain = handshake(query)[:-2]
        head = plain + lines(_HEAD - len(plain)).encode() + b"\r\n\r\n"
        return lambda: _all(network, [[head]] * max(1, size // len(head)))

    return prepare


def _slow_head(network: Network, size: int) -> Attack:
    """Send a head byte by byte."""
    head = b"GET /socket.io/ HTTP/1.1\r\nHost: x\r\nA: " + b"a" * (min(size, _HEAD) - 60)
    connection, pieces = network.connect(), [bytes((byte,)) for byte in head]
    return lambda: connection.send(*pieces) or len(head)  # type: ignore[func-returns-value]


def _query(part: str) -> Any:
    """Make handshakes with a long query."""
    return _heads(lambda size: "x: y", "EIO=4&transport=websocket&" + part * (15_000 // len(part)))


def _all(network: Network, connections: Iterable[Iterable[bytes]]) -> int:
    sent = 0
    for pieces in connections:
        connection = network.connect()
        sent += _send(connection, pieces)
        connection.cut()
    network.connections.clear()
    return sent


def _with_token(made: Callable[[int], str], cookie: bool = False) -> Any:
    """Join with a token, in the auth or in the cookie."""

    def prepare(network: Network, size: int) -> Attack:
        if cookie:
            line = f"Cookie: {COOKIE}={made(14_000)}\r\n\r\n".encode()
            opening = handshake()[:-2] + line
            pieces = [opening, _frames(b"40")]
            return lambda: _all(network, [pieces] * max(1, size // sum(map(len, pieces))))
        joining = _frames(b"40" + json.dumps({"session": made(min(size, 90_000))}).encode())
        pieces = [handshake(), joining]
        return lambda: _all(network, [pieces] * max(1, size // len(joining)))

    return prepare


# Polling


def _post(body: Callable[[int], bytes], headers: str = "") -> Any:
    """Make POSTs whose body is as long as it may be, each in a session of its own."""

    def prepare(network: Network, size: int) -> Attack:
        data = body(min(size, _PAYLOAD - 10))
        sids = [network.poll() for _ in range(max(1, size // _PAYLOAD))]
        network.connections.clear()

        def attack() -> int:
            return sum(_posted(network, sid, data, headers) for sid in sids)

        return attack

    return prepare


def _posted(network: Network, sid: str, body: bytes, headers: str) -> int:
    line = f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\n{headers}"
    length = "" if "chunked" in headers else f"Content-Length: {len(body)}\r\n"
    return _all(network, [[f"{line}{length}\r\n".encode() + body]])


def _repeated(packet: bytes) -> Any:
    return _post(lambda size: b"\x1e".join([packet] * (size // (len(packet) + 1))))


def _bomb(network: Network, size: int) -> Attack:
    """Make a POST whose body was so many bytes before it was compressed."""
    body = gzip.compress(b"41\x1e" * (min(size, _PAYLOAD) // 3) + b"6")
    return _post(lambda size: body, "Content-Encoding: gzip\r\n")(network, size)  # type: ignore[no-any-return]


def _bus(body: Callable[[int], dict[str, Any]]) -> Any:
    """Have the bus bring messages of another host."""

    def prepare(network: Network, size: int) -> Attack:
        queue: Any = network.host.bus
        bodies: list[bytes] = []
        while size > 0:
            identified = {"message_id": f"other:{len(bodies)}", "host_id": "other"}
            bodies.append(json.dumps(identified | body(size)).encode())
            size -= len(bodies[-1])
        for one in bodies:
            queue.incoming.put_nowait(one)
        return lambda: network.loop.settle() or sum(map(len, bodies))  # type: ignore[func-returns-value]

    return prepare


def _no_http(network: Network, size: int) -> Attack:
    """Send what is no HTTP after a request that is."""
    good = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    bad = [good, b"x" * (min(size, _READ) - 4) + b"\r\n\r\n"]
    return lambda: _all(network, [bad] * max(1, size // _READ))


# The function


def _page(**parts: Callable[[int], Any]) -> Any:
    """Ask for a page with something long in the request."""

    def prepare(network: Network, size: int) -> Attack:
        made = {name: make(size) for name, make in parts.items()}
        event = http_api("/", made.get("query", ""), method=made.get("method", "GET"))
        event["requestContext"]["http"]["path"] = made.get("path", "/about")
        event["headers"] |= {"x-other": made["header"]} if "header" in made else {}
        if "cookie" in made:
            event["cookies"] = [made["cookie"]]
        if "body" in made:
            event["body"] = made["body"]
        return lambda: size if invoke(event)["statusCode"] < 500 else 0

    return prepare


def _fill(piece: str, before: str = "", after: str = "") -> Callable[[int], str]:
    return lambda size: before + piece * ((size - len(before) - len(after)) // len(piece)) + after


def _bytes(piece: bytes, before: bytes = b"", after: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: before + piece * ((size - len(before) - len(after)) // len(piece)) + after


class Kind(NamedTuple):
    """A way in, and what strangers may send there; `size` is where the measuring begins."""

    prepare: Callable[[Network, int], Attack]
    size: int = 20_000
    peak: float = _MOST_PEAK


_EMIT = {"method": "emit", "event": "x", "namespace": "/", "room": None}
_SAID = {"method": "announcement"}
_FORM = {"method": lambda size: "POST", "path": lambda size: "/rooms/garden"}

KINDS: dict[str, Kind] = {
    "frames: pongs": Kind(_flood(b"3")),
    "frames: noops": Kind(_flood(b"6")),
    "frames: pings of the websocket": Kind(_stream(_frames(b"", 9))),
    "frames: empty fragments": Kind(_stream(b"\x00\x80" + bytes(4), b"\x01\x80" + bytes(4))),
    "frames: in segments of 7 bytes": Kind(_trickle(b"4", 7), 20_000),
    "packets: events": Kind(_flood(b'42["echo"]')),
    "packets: events nobody answers": Kind(_flood(b'42["?"]')),
    "packets: events with an ack": Kind(_flood(b'421["echo"]')),
    "packets: acks of nothing": Kind(_flood(b"431[]"), 4_000),
    "packets: DISCONNECT where not joined": Kind(_flood(b"41/a,", joined=False), 4_000),
    "packets: CONNECT to no namespace": Kind(_flood(b"40/a,", joined=False)),
    "packets: events before joining": Kind(_flood(b'42["echo"]', joined=False)),
    "packets: events with attachments": Kind(_attachments),
    "packets: nested lists": Kind(_one(_bytes(b"[", b'42["echo"'))),
    "packets: list of lists": Kind(_one(_bytes(b"[],", b'42["echo",', b"0]"))),
    "packets: list of objects": Kind(_one(_bytes(b"{},", b'42["echo",', b"0]"))),
    "packets: list of numbers": Kind(_one(_bytes(b"0,", b'42["echo",', b"0]"))),
    "packets: numbers of 4,000 digits": Kind(_one(_bytes(b"9" * 4_000 + b",", b'42["?",', b"0]"))),
    "packets: one number": Kind(_one(_bytes(b"9", b'42["?",', b"]"))),
    "packets: escapes": Kind(_one(_bytes(b"\\u0041", b'42["echo","', b'"]'))),
    "packets: characters of two bytes": Kind(_one(_bytes("é".encode(), b'42["echo","', b'"]'))),
    "packets: keys": Kind(_one(_bytes(b'"\\u0000":0,', b'42["?",{', b'"":0}]'))),
    "packets: a long namespace": Kind(_one(_bytes(b"a", b"40/"), joined=False)),
    "packets: a long name of an event": Kind(_one(_bytes(b"a", b'42["', b'"]'))),
    "packets: binary": Kind(_one(_bytes(b"a"), opcode=2)),
    "tokens: in CONNECT": Kind(_with_token(_fill("a")), 100_000),
    "tokens: dots in CONNECT": Kind(_with_token(_fill(".")), 100_000),
    "tokens: in the cookie": Kind(_with_token(_fill("a"), cookie=True), 100_000),
    "cookies: empty ones": Kind(_with_token(_fill(";"), cookie=True), 100_000),
    "cookies: many": Kind(_with_token(_fill("; a=b"), cookie=True), 100_000),
    "heads: one long header": Kind(_heads(_fill("a", "a: "))),
    "heads: many headers": Kind(
        _heads(lambda size: "\r\n".join(f"a{n}: {'b' * 150}" for n in range(90)))
    ),
    "heads: the same header": Kind(_heads(lambda size: "\r\n".join(["a: " + "b" * 150] * 90))),
    "heads: byte by byte": Kind(_slow_head, 4_000),
    "queries: parameters": Kind(_query("a&")),
    "queries: few long ones": Kind(_query("a" * 1_000 + "=%41&")),
    "POST: nothing but separators": Kind(_repeated(b"")),
    "POST: noops": Kind(_repeated(b"6")),
    "POST: pongs": Kind(_repeated(b"3")),
    "POST: DISCONNECT where not joined": Kind(_repeated(b"41"), 1_000),
    "POST: CONNECT to no namespace": Kind(_repeated(b"40/a,")),
    "POST: joined, then acks": Kind(_post(_bytes(b"\x1e431[]", b"40")), 2_000),
    "POST: base64": Kind(_post(_bytes(b"A", b"b", b"=="))),
    "POST: empty binary": Kind(_repeated(b"b")),
    "POST: in chunks of a byte": Kind(
        _post(_bytes(b"1\r\n6\r\n", b"", b"0\r\n\r\n"), "Transfer-Encoding: chunked\r\n")
    ),
    "POST: compressed": Kind(_bomb, 2_000),
    "requests: what is no HTTP": Kind(_no_http, 500_000),
    "bus: events": Kind(_bus(lambda size: _EMIT | {"data": [0]})),
    "bus: a long event": Kind(_bus(lambda size: _EMIT | {"data": [[]] * 50_000}), 200_000),
    "bus: announcements of nothing": Kind(_bus(lambda size: _SAID | {"subject": "x", "body": 0})),
    "bus: wrong answers": Kind(
        _bus(lambda size: _SAID | {"subject": "recovery.answer", "body": None}), 10_000
    ),
    "bus: greetings": Kind(
        _bus(lambda size: _SAID | {"subject": "peers", "body": {"word": "hello", "state": {}}})
    ),
    "pages: a long path": Kind(_page(path=_fill("a", "/"))),
    "pages: slashes": Kind(_page(path=_fill("/", "/a"))),
    "pages: dots": Kind(_page(path=_fill("/..", "/a", "/"))),
    "pages: steps down and up": Kind(_page(path=_fill("/a/..", "/a", "/"))),
    "pages: escapes": Kind(_page(path=_fill("é", "/", "/"))),
    "pages: parameters": Kind(_page(path=lambda n: "/rooms", query=_fill("a=b&"))),
    "pages: a long room": Kind(_page(path=lambda n: "/rooms", query=_fill("a", "room="))),
    "pages: cookies": Kind(_page(cookie=_fill("a=b;")), 2_500),
    "pages: a quoted cookie": Kind(_page(cookie=_fill("\\", f'{COOKIE}="', '"')), 2_500),
    "pages: a token": Kind(_page(cookie=_fill("a", f"{COOKIE}=")), 2_500),
    "pages: a long header": Kind(_page(header=_fill("a")), 2_500),
    "pages: a form of escapes": Kind(
        _page(**_FORM, body=_fill("%41", "id=a&text=")), 15_000, peak=100
    ),
    "pages: a form of fields": Kind(_page(**_FORM, body=_fill("&a=b", "text=x")), 15_000),
    "pages: a form of text": Kind(_page(**_FORM, body=_fill("<", "id=a&text=")), 15_000),
}


# Whose it is to mend what costs too much today.
_TOO_SLOW = {
    "packets: acks of nothing": "lead; the inbox is quadratic",
    "packets: DISCONNECT where not joined": "lead; the inbox is quadratic",
    "POST: DISCONNECT where not joined": "lead; the inbox is quadratic",
    "POST: joined, then acks": "lead; the inbox is quadratic",
    "POST: compressed": "lead; a compressed body is taken",
    "heads: byte by byte": "slots; a head is copied for every segment",
}
_TOO_LARGE = {
    "packets: events": "lead; a task for each event of 256 kB",
    "packets: events nobody answers": "lead; a task for each event of 256 kB",
    "packets: events with an ack": "lead; a task for each event of 256 kB",
    "packets: CONNECT to no namespace": "lead; an answer to each of 256 kB",
    "POST: CONNECT to no namespace": "lead; answers wait, seven times as large as they count",
    "requests: what is no HTTP": "slots; aiohttp's exception keeps all that was read in a cycle",
    "tokens: in CONNECT": "session; the exception of a refusal is in a cycle",
    "tokens: dots in CONNECT": "session; the exception of a refusal is in a cycle",
    "tokens: in the cookie": "session; the exception of a refusal is in a cycle",
    "cookies: empty ones": "session; the exception of a refusal is in a cycle",
    "cookies: many": "session; the exception of a refusal is in a cycle",
}


def _cases(broken: dict[str, str]) -> list[Any]:
    """Return all kinds, those marked that are known to be broken."""
    marks = {
        name: pytest.mark.xfail(strict=True, reason=f"owner: {broken[name]}") for name in broken
    }
    return [pytest.param(name, marks=marks.get(name, ())) for name in KINDS]


def _network(name: str) -> Network:
    return Network(
        Stage,
        Wire if name.startswith("bus") else None,
        session_secret=SECRET,
        max_payload=_PAYLOAD,
        recovery_seconds=20,
        ping_interval=1e6,
    )


def _seconds(name: str, size: int) -> tuple[int, float]:
    """Return how many bytes were taken, and the processor time of it: the least of some tries."""
    best, sent = float("inf"), 0
    for _ in range(_TRIES):
        with _network(name) as network:
            attack = KINDS[name].prepare(network, size)
            gc.collect()
            gc.disable()
            before = time.process_time()
            sent = attack()
            best = min(best, time.process_time() - before)
            gc.enable()
        if best > _ENOUGH:
            break
    return sent, best


def _memory(name: str, size: int) -> tuple[int, int, int]:
    """Return how many bytes were taken, and what memory that took at the most and afterwards."""
    with _network(name) as network:
        attack = KINDS[name].prepare(network, size)
        gc.collect()
        gc.disable()  # cycles would be left for a long time
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


@pytest.mark.parametrize("name", _cases(_TOO_SLOW))
def test_processor(name: str) -> None:
    """A byte on the wire costs a microsecond at the most, among many as among few."""
    kind = KINDS[name]
    few, short = _seconds(name, kind.size)
    many, long = _seconds(name, 4 * kind.size)
    micros, growth = long / many * 1e6, (long / many) / (short / few)
    print(f"{name:42} {micros:8.3f} µs a byte, {growth:4.1f} times as much among {many:,}")
    assert micros <= _MOST * _SLACK
    assert growth <= _MOST_GROWTH


@pytest.mark.parametrize("name", _cases(_TOO_LARGE))
def test_memory(name: str) -> None:
    """A byte on the wire takes little memory, and none when who sent it has gone.

    Also if the garbage collector has not run: it seldom does.
    """
    kind = KINDS[name]
    sent, peak, kept = _memory(name, 4 * kind.size)
    print(f"{name:42} {peak / sent:8.1f} bytes a byte, {kept / sent:8.1f} afterwards")
    assert peak <= kind.peak * sent + _OURS
    if not name.startswith(_REMEMBERS):
        assert kept <= _MOST_KEPT * sent + _OURS
