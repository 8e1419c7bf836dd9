"""Every kind of input that a stranger can send, in any length."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from functions.contract.session import COOKIE
from tests.fuzz.network import Connection, Network
from tests.kit.hosts import token
from tests.kit.lambda_events import http_api, invoke
from tests.kit.protocol_client import handshake

_READ = 1 << 18  # bytes that an event loop reads at once
MOST_PEAK = 50.0  # bytes of memory per byte on the wire, while it is processed
PAYLOAD = 100_000  # the default of MAX_PAYLOAD
_HEAD = 12_000  # bytes: nearly the longest allowed head
_PACKETS = 800  # of one client at once: nearly the limit
_EVENTS = 80  # the same for events that are answered
_CONNECTS = 40  # the same for CONNECTs
_SESSIONS = 10  # that each send as many
_FEW = 4_000  # bytes: nearly the longest message before joining
_AUTH = json.dumps({"session": token()})
Attack = Callable[[], int]  # returns how many bytes it sent and the host read


class Kind(NamedTuple):
    """A kind of input; `size` is the first size to measure."""

    prepare: Callable[[Network, int], Attack]
    size: int = 20_000
    peak: float = MOST_PEAK


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


def _flood(*packets: bytes, most: int = _PACKETS) -> Kind:
    """Send frames with the same packets repeatedly."""
    return _stream(b"".join(map(_frames, packets)), len(packets), most)


def _stream(frames: bytes, count: int = 1, most: int = _PACKETS, first: bytes = b"") -> Kind:
    """Send the same `count` frames until a session has sent `most`."""

    def prepare(network: Network, size: int) -> Attack:
        sockets = [network.joined(_AUTH) for _ in range(_SESSIONS)]
        data = first + frames * (size // _SESSIONS // len(frames))

        def attack() -> int:
            sent = sum(_send(socket.connection, [data]) for socket in sockets)
            assert not any(socket.connection.is_closing() for socket in sockets), "not all was read"
            return sent

        return attack

    return Kind(prepare, most // count // 4 * len(frames) * _SESSIONS)


def _excess(network: Network, size: int) -> Attack:
    """Send more packets than a client may."""
    connection, data = network.joined(_AUTH).connection, _frames(b"6") * (size // 7)
    pieces = [data[at : at + _READ] for at in range(0, len(data), _READ)]
    return lambda: _send(connection, pieces)


def _send(connection: Connection, pieces: Iterable[bytes]) -> int:
    sent = 0
    for piece in pieces:
        if connection.is_closing():
            break
        sent += len(piece)
        connection.send(piece)
        connection.read()
    return sent


def _one(text: Callable[[int], bytes], opcode: int = 1) -> Any:
    """Send a message of the largest allowed length."""

    def prepare(network: Network, size: int) -> Attack:
        connection = network.joined(_AUTH).connection
        return lambda: _send(connection, [_frames(text(min(size, PAYLOAD)), opcode)])

    return prepare


def _migrated(*packets: bytes) -> Kind:
    """Open sessions that send these packets first, and close them."""
    pieces = [handshake(), b"".join(map(_frames, packets))]

    def prepare(network: Network, size: int) -> Attack:
        return lambda: _all(network, [pieces] * (size // sum(map(len, pieces))))

    return Kind(prepare)


def _trickle(text: bytes, each: int, opcode: int = 1) -> Any:
    """Send a long message in segments of some bytes."""

    def prepare(network: Network, size: int) -> Attack:
        connection = network.joined(_AUTH).connection
        data = _frames(text * (min(size, PAYLOAD) // len(text)), opcode)
        pieces = [data[at : at + each] for at in range(0, len(data), each)]
        return lambda: connection.send(*pieces) or len(data)  # type: ignore[func-returns-value]

    return prepare


_PLACES = ",".join(f'{{"_placeholder":true,"num":{number}}}' for number in range(10))
_ATTACHMENTS = _frames(f'4510-["x",{_PLACES}]'.encode()) + _frames(b"x", 2) * 10


def _heads(lines: Callable[[int], str], query: str = "EIO=4&transport=websocket") -> Any:
    """Send handshakes with the longest allowed head."""

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
    """Send handshakes with a long query."""
    return _heads(lambda size: "x: y", "EIO=4&transport=websocket&" + part * (11_000 // len(part)))


def _all(network: Network, connections: Iterable[Iterable[bytes]]) -> int:
    sent = 0
    for pieces in connections:
        connection = network.connect()
        sent += _send(connection, pieces)
        connection.cut()
    network.connections.clear()
    return sent


def _with_token(made: Callable[[int], str]) -> Any:
    """Join with a token in `auth`."""
    return _migrated(b"40" + json.dumps({"session": made(_FEW)}).encode())


def _with_cookie(made: Callable[[int], str]) -> Any:
    """Join with a token in the cookie."""
    line = f"Cookie: {COOKIE}={made(_HEAD - 500)}\r\n\r\n".encode()
    pieces = [handshake()[:-2] + line, _frames(b"40")]

    def prepare(network: Network, size: int) -> Attack:
        return lambda: _all(network, [pieces] * (size // sum(map(len, pieces))))

    return Kind(prepare, 100_000)


def _forged(size: int) -> str:
    """Return a forged token of the largest allowed length."""
    return f"{'a' * 900}.aaaaaa.{'a' * 32}"


def _post(body: Callable[[int], bytes], headers: str = "") -> Any:
    """Send a POST with a body of the largest allowed length."""

    def prepare(network: Network, size: int) -> Attack:
        data, sids = body(min(size, PAYLOAD - 10)), [joined_poller(network)]
        return lambda: _posted(network, sids, data, headers)

    return prepare


def _repeated(packet: bytes, most: int = _PACKETS) -> Kind:
    """Send POSTs with as many packets as a session may send."""

    def prepare(network: Network, size: int) -> Attack:
        sids = [joined_poller(network) for _ in range(_SESSIONS)]
        body = b"\x1e".join([packet] * (size // _SESSIONS // (len(packet) + 1)))

        def attack() -> int:
            sent = _posted(network, sids, body)
            assert not network.host.transport.closed()["floods"], "not everything was read"
            return sent

        return attack

    return Kind(prepare, most // 4 * (len(packet) + 1) * _SESSIONS)


def joined_poller(network: Network) -> str:
    sid = network.poll()
    network.ask(f"&sid={sid}", b"40" + _AUTH.encode())
    network.ask(f"&sid={sid}")
    network.connections.clear()
    return sid


def _posted(network: Network, sids: list[str], body: bytes, headers: str = "") -> int:
    """Return how many bytes were read: only those of the head if it was refused."""
    sent = 0
    length = "" if "chunked" in headers else f"Content-Length: {len(body)}\r\n"
    for sid in sids:
        line = f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\n"
        head, connection = f"{line}{headers}{length}\r\n".encode(), network.connect()
        connection.send(head + body)
        refused = connection.read().startswith((b"HTTP/1.1 413", b"HTTP/1.1 415"))
        sent += len(head) if refused else len(head + body)
        connection.cut()
    network.connections.clear()
    return sent


def _bomb(network: Network, size: int) -> Attack:
    """Send POSTs with compressed bodies."""
    body, sids = gzip.compress(b"6" * PAYLOAD), [network.poll() for _ in range(size // 200)]
    return lambda: _posted(network, sids, body, "Content-Encoding: gzip\r\n")


def _bus(body: Callable[[int], dict[str, Any]]) -> Any:
    """Deliver messages of another host from the bus."""

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
    """Send bytes that are not HTTP after a valid request."""
    good = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    bad = [good, b"x" * (min(size, _READ) - 4) + b"\r\n\r\n"]
    return lambda: _all(network, [bad] * max(1, size // _READ))


def _page(**parts: Callable[[int], Any]) -> Any:
    """Request a page with a long part in the request."""

    def prepare(network: Network, size: int) -> Attack:
        made = {name: make(size) for name, make in parts.items()}
        event = http_api("/", made.get("query", ""), method=made.get("method", "GET"))
        event["requestContext"]["http"]["path"] = made.get("path", "/about")
        event["headers"] |= {"sec-fetch-site": "same-origin"}
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


_EMIT = {"method": "emit", "event": "x", "namespace": "/", "room": None}
_SAID = {"method": "announcement"}
_FORM = {"method": lambda size: "POST", "path": lambda size: "/"}


KINDS: dict[str, Kind] = {
    "frames: pongs": _flood(b"3"),
    "frames: noops": _flood(b"6"),
    "frames: more than may be": Kind(_excess),
    "frames: pings of the websocket": _stream(_frames(b"", 9)),
    "frames: empty fragments": _stream(b"\x00\x80" + bytes(4), first=b"\x01\x80" + bytes(4)),
    "frames: in segments of 7 bytes": Kind(_trickle(b"4", 7)),
    "frames: text byte by byte": Kind(_trickle(b"4", 1)),
    "frames: letters of two bytes byte by byte": Kind(_trickle("é".encode(), 1)),
    "frames: binary byte by byte": Kind(_trickle(b"a", 1, opcode=2)),
    "packets: events": _flood(b'42["echo"]', most=_EVENTS),
    "packets: events with an ack": _flood(b'421["echo"]', most=_EVENTS),
    "packets: events with attachments": _stream(_ATTACHMENTS, 11),
    "packets: events nobody answers": _flood(b'42["?"]'),
    "packets: events beyond the limit": _flood(b'421["echo"]'),
    "packets: acks of nothing": _flood(b"431[]"),
    "packets: DISCONNECT where not joined": _flood(b"41/a,"),
    "packets: CONNECT to no namespace": _flood(b"40/a,", most=_CONNECTS),
    "packets: nested lists": Kind(_one(_bytes(b"[", b'42["echo"'))),
    "packets: list of lists": Kind(_one(_bytes(b"[],", b'42["echo",', b"0]"))),
    "packets: list of objects": Kind(_one(_bytes(b"{},", b'42["echo",', b"0]"))),
    "packets: list of numbers": Kind(_one(_bytes(b"0,", b'42["echo",', b"0]"))),
    "packets: numbers of 4,000 digits": Kind(_one(_bytes(b"9" * 4_000 + b",", b'42["?",', b"0]"))),
    "packets: one number": Kind(_one(_bytes(b"9", b'42["?",', b"]"))),
    "packets: escapes": Kind(_one(_bytes(b"\\u0041", b'42["echo","', b'"]'))),
    "packets: characters of two bytes": Kind(_one(_bytes("é".encode(), b'42["echo","', b'"]'))),
    "packets: keys": Kind(_one(_bytes(b'"\\u0000":0,', b'42["?",{', b'"":0}]'))),
    "packets: a long namespace": Kind(_one(_bytes(b"a", b"40/"))),
    "packets: a long name of an event": Kind(_one(_bytes(b"a", b'42["', b'"]'))),
    "packets: a long answer": Kind(_one(_bytes("é".encode(), b'421["echo","', b'"]'))),
    "packets: binary": Kind(_one(_bytes(b"a"), opcode=2)),
    "newcomers: a handshake": _migrated(),
    "newcomers: CONNECT": _migrated(b"40" + _AUTH.encode()),
    "newcomers: CONNECT to no namespace": _migrated(*[b"40/a,"] * 6),
    "newcomers: an event": _migrated(b'42["echo"]'),
    "newcomers: a long namespace": _migrated(b"40/" + b"a" * _FEW),
    "newcomers: nested lists": _migrated(b"40" + b"[" * _FEW),
    "tokens: in CONNECT": _with_token(_fill("a")),
    "tokens: dots in CONNECT": _with_token(_fill(".")),
    "tokens: forged in CONNECT": _with_token(_forged),
    "tokens: in the cookie": _with_cookie(_fill("a")),
    "tokens: forged in cookies": _with_cookie(
        lambda size: f"; {COOKIE}=".join([_forged(0)] * (size // 1_000))
    ),
    "cookies: empty ones": _with_cookie(_fill(";")),
    "cookies: many": _with_cookie(_fill("; a=b")),
    "heads: one long header": Kind(_heads(_fill("a", "a: "))),
    "heads: many headers": Kind(
        _heads(lambda size: "\r\n".join(f"a{n}: {'b' * 150}" for n in range(90)))
    ),
    "heads: the same header": Kind(_heads(lambda size: "\r\n".join(["a: " + "b" * 150] * 90))),
    "heads: byte by byte": Kind(_slow_head, 4_000),
    "queries: parameters": Kind(_query("a&")),
    "queries: few long ones": Kind(_query("a" * 1_000 + "=%41&")),
    "POST: nothing but separators": Kind(_post(_bytes(b"\x1e"))),
    "POST: noops": _repeated(b"6"),
    "POST: pongs": _repeated(b"3"),
    "POST: acks of nothing": _repeated(b"431[]"),
    "POST: DISCONNECT where not joined": _repeated(b"41/a,"),
    "POST: CONNECT to no namespace": _repeated(b"40/a,", _CONNECTS),
    "POST: base64": Kind(_post(_bytes(b"A", b"b", b"=="))),
    "POST: empty binary": Kind(_post(_bytes(b"b\x1e"))),
    "POST: a long event": Kind(_post(_bytes(b"a", b'42["', b'"]'))),
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
    "pages: accents": Kind(_page(path=_fill("\u0301\u0323", "/static/a"))),
    "pages: parameters": Kind(_page(path=lambda n: "/", query=_fill("a=b&"))),
    "pages: a long parameter": Kind(_page(path=lambda n: "/", query=_fill("a", "room="))),
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
