"""Strangers cannot fill the log, forge lines in it, or hide other causes."""

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from socket_host import log_limit
from socket_host.event_error import EventError
from socket_host.log_limit import MAX_CAUSES, LogLimit, SafeFormatter, escaped, unhandled
from tests.hostile.victim import Victim, victim
from tests.kit.clients import clients, raw_client
from tests.kit.hosts import on_each_transport, serving, token, url
from tests.kit.protocol_client import frame, handshake, http_client, raw
from tests.small_app.events.plaza import Plaza

TIMES = 8


def request(head: bytes, body: bytes = b"") -> bytes:
    """A raw request for its own connection."""
    return head.replace(b"\n", b"\r\n") + b"\r\nHost: x\r\nConnection: close\r\n\r\n" + body


def websocket(*packets: bytes, **headers: str) -> bytes:
    """A handshake, followed at once by packets."""
    return handshake(**headers) + b"".join(frame(packet) for packet in packets)


def cookie(value: bytes) -> bytes:
    """A handshake with a cookie."""
    return handshake()[:-2] + b"Cookie: sidepath_session=" + value + b"\r\n\r\n" + frame(b"40")


SESSION = json.dumps({"session": token()}).encode()
JOIN = b"40" + SESSION

ATTACKS = {
    "a lone surrogate in a token": websocket(b'40{"session":"\\ud800"}'),
    "one behind a token": websocket(JOIN.replace(b'"}', b'\\udfff"}')),
    "one in the token of a resuming client": websocket(b'40{"session":"\\ud800","pid":"a.b"}'),
    "one in a private id": websocket(JOIN.replace(b"}", b',"pid":"\\ud800.b"}')),
    "a token that is not ASCII": websocket('40{"session":"é"}'.encode()),
    "0xff in the cookie": cookie(b"\xff\xfe"),
    "0xff behind a token in the cookie": cookie(token().encode() + b"\xff"),
    "0xff in the cookie of a poll": request(
        b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\nCookie: sidepath_session=\xff"
    ),
    "control characters in the cookie": cookie(b"\x01\x1b[31m"),
    "authorization that is not UTF-8": request(
        b"POST /bus HTTP/1.1\nAuthorization: Bearer \xff\xe9\nContent-Length: 1", b"x"
    ),
    "authorization that is not ASCII": request(
        "POST /bus HTTP/1.1\nAuthorization: Bearer é\nContent-Length: 1".encode(), b"x"
    ),
    "a body of bad chunks": request(b"POST /bus HTTP/1.1\nTransfer-Encoding: chunked", b"zz\r\n"),
    "a body that is not gzip": request(
        b"POST /bus HTTP/1.1\nContent-Encoding: gzip\nContent-Length: 3", b"zzz"
    ),
    "another for /health": request(
        b"GET /health HTTP/1.1\nContent-Encoding: deflate\nContent-Length: 3", b"zzz"
    ),
    "brotli": request(b"GET /health HTTP/1.1\nContent-Encoding: br\nContent-Length: 3", b"zzz"),
    "TLS": b"\x16\x03\x01\x02\x00\r\n\r\n",
    "HTTP 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP 9": request(b"GET /health HTTP/9.9"),
    "no HTTP": b"NONSENSE\r\n\r\n",
    "a header without a name": request(b"GET /health HTTP/1.1\n: x"),
    "control characters in a header": request(b"GET /health HTTP/1.1\nA: \x07\x1b[31m"),
    "two lengths": request(b"POST /x HTTP/1.1\nContent-Length: 3\nContent-Length: 4", b"abc"),
    "a negative length": request(b"POST /x HTTP/1.1\nContent-Length: -3", b"abc"),
    "a length and chunks": request(
        b"POST /x HTTP/1.1\nContent-Length: 3\nTransfer-Encoding: chunked", b"abc"
    ),
    "an invalid address": request(b"GET http://[::1 HTTP/1.1"),
    "a head without end": request(b"GET / HTTP/1.1\nX: " + b"x" * 20_000),
    "0xff in the origin": handshake()[:-2] + b"Origin: http://\xff\r\n\r\n",
    "an invalid origin": websocket(Origin="http://["),
    "a session that forges a line": request(
        b"GET /socket.io/?EIO=4&transport=polling&sid=%0aERROR%20forged%1b[31m HTTP/1.1"
    ),
    "a transport that forges a line": request(
        b"GET /socket.io/?EIO=4&transport=%0aERROR%20forged HTTP/1.1"
    ),
    "an event that forges a line": websocket(JOIN, b'421["a\\nERROR forged",1]'),
    "an invalid protocol": websocket(Sec_WebSocket_Protocol="a,b"),
    "an invalid key": websocket(Sec_WebSocket_Key="xxx"),
    "a frame without a mask": handshake() + frame(b"40", mask=False),
    "a frame of no kind": handshake() + frame(b"x", 5),
    "text that is not UTF-8": websocket(b"4\xff"),
    "a packet of no kind": websocket(b"zzz"),
    "an empty packet": websocket(b""),
    "a binary packet": handshake() + frame(b"\xff\x00", 2),
    "an empty message": websocket(b"4"),
    "JSON that ends too soon": websocket(JOIN, b'42{"a"'),
    "JSON nested too deeply": websocket(JOIN, b"42" + b"[" * 40_000),
    "an event nested deeply": websocket(JOIN, b'421["busy",' + b"[" * 900 + b"]" * 900 + b"]"),
    "an event without a name": websocket(JOIN, b"421[null]"),
    "a placeholder without an attachment": websocket(
        JOIN, b'451-["busy",{"_placeholder":true,"num":"a"}]'
    )
    + frame(b"x", 2),
    "surrogates everywhere": websocket(JOIN, b'421["message",{"id":"\\ud800","text":"\\ud800"}]'),
    "a number without end": websocket(JOIN, b'421["missed",{"after":' + b"9" * 5_000 + b"}]"),
}


async def attack(host: Victim, data: bytes) -> None:
    """Send data, and wait briefly for an answer."""
    async with raw(host.port) as client:
        client.send(data)
        try:
            async with asyncio.timeout(0.01):
                await client.reader.read()
        except (TimeoutError, ConnectionError):
            pass


async def poll(host: Victim) -> None:
    """Post invalid data to polling sessions."""
    bodies = [b"\xff", b"b!!!!", b"zzz", b"40\x1e\x1e40", b'40{"session":"\\ud800"}', b"4" * 50_000]
    async with http_client(host.port) as http:
        for body in bodies:
            await (await http.open()).http.ask(
                "POST", body, EIO="4", transport="polling", sid=(await http.open()).sid
            )


@on_each_transport
async def test_no_attack_writes_many_lines(tmp_path: Path, transport: str) -> None:
    """Any input, however often, causes at most one line and one traceback for each cause."""
    # So many that clients that have not joined are not refused for that.
    async with victim(tmp_path, TRANSPORT=transport, MAX_CONNECTIONS="15000") as host:
        for data in ATTACKS.values():
            for _ in range(TIMES):
                await attack(host, data)
        for _ in range(TIMES):
            await poll(host)
        log = host.log()
        assert not [line for line in log if line.startswith("ERROR forged")]
        assert not [line for line in log if "UnicodeEncodeError" in line or "admit failed" in line]
        assert not [line for line in log if "\x1b" in line]
        causes = [line for line in log if not line.startswith(" ")]
        assert len(causes) <= (5 if transport == "fast" else 20)
        assert len(log) <= (5 if transport == "fast" else 300)
        assert (await host.health())["closed"]["invalid requests"] >= 5 * TIMES


@on_each_transport
async def test_token_of_any_kind_is_a_plain_refusal(tmp_path: Path, transport: str) -> None:
    """An impossible token is refused like any other, without a line in the log."""
    async with victim(tmp_path, TRANSPORT=transport) as host:
        for data in list(ATTACKS.values())[:8]:
            await attack(host, data)
        assert host.log() == []
        assert "failed" not in (await host.health())["refused"]


class Failing(Plaza):
    """Handlers that fail as an application's may."""

    async def on_boom(self, sid: str, text: str) -> None:
        raise ValueError(text)

    async def on_bang(self, sid: str, text: str) -> None:
        raise KeyError(text)

    async def on_no(self, sid: str) -> None:
        raise EventError("No.")

    async def on_connect(self, sid: str, environ: Any, auth: Any) -> None:
        await super().on_connect(sid, environ, auth)
        if self.visitor(sid).name != "Ann":
            raise RuntimeError("\nERROR forged")


@contextmanager
def log_of(limit: LogLimit) -> Iterator[Callable[[], list[str]]]:
    """The log in the form that a host's process writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(SafeFormatter())
    handler.addFilter(limit)
    logging.getLogger().addHandler(handler)
    try:
        yield lambda: stream.getvalue().splitlines()
    finally:
        logging.getLogger().removeHandler(handler)


@on_each_transport
async def test_handler_that_fails(tmp_path: Path, transport: str) -> None:
    """Each failing handler is logged with one traceback; clients' text in it is escaped."""
    limit = LogLimit()
    with log_of(limit) as log:
        async with (
            serving(tmp_path, Failing, transport=transport, event_burst=1_000) as host,
            raw_client(url(host), token("Ann")) as ann,
            clients() as people,
        ):
            with pytest.raises(Exception, match="failed to connect"):
                await people.begin(url(host), token("Eve"))
            for number in range(100):
                assert "error" in await ann.ask(f'["boom","\\nERROR forged {number}"]')
                assert "error" in await ann.ask(f'["bang","\\n\\u001b[31m {number}"]')
                assert "error" in await ann.ask('["no"]')
            assert host.namespaces[0].refused["failed"] == 201
        limit.report(early=True)
        lines = log()
    heads = [line for line in lines if not line.startswith(" ")]
    assert [line.partition(":")[0] for line in heads] == [
        "ERROR socket_host.namespace",
        "ERROR socket_host.namespace",
        "ERROR socket_host.namespace",
        "WARNING socket_host.log_limit",
        "WARNING socket_host.log_limit",
    ]
    assert sum("99 more like this: ERROR socket_host.namespace" in line for line in heads) == 2
    assert not any("forged" in line and line.startswith("ERROR forged") for line in lines)
    assert not any("\x1b" in line for line in lines)
    assert len(lines) < 60


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def record(message: Any = "a", *values: Any, line: int = 1, **more: Any) -> logging.LogRecord:
    """A record as a logger makes it."""
    made = logging.LogRecord("name", logging.ERROR, "file.py", line, message, values, None)
    made.__dict__.update(more)
    return made


def raised(error: Exception) -> Any:
    """Return an exception's `exc_info`."""
    try:
        raise error
    except Exception as caught:
        return type(caught), caught, caught.__traceback__


def test_cause_is_a_place_and_words() -> None:
    """A client's input makes no new cause; another place, format, name or exception does."""
    limit = LogLimit()
    assert limit.filter(record("%s", "a"))
    assert not limit.filter(record("%s", "b"))
    assert limit.filter(record("%s!", "a"))
    assert limit.filter(record("a"))
    assert not limit.filter(record("what came instead"))
    assert limit.filter(record("a", line=2))
    assert limit.filter(record("a", cause="one"))
    assert limit.filter(record("a", cause="other"))
    assert not limit.filter(record("a", cause="other"))
    assert limit.filter(record("a", exc_info=raised(ValueError("x"))))
    assert not limit.filter(record("a", exc_info=raised(ValueError("y"))))
    assert limit.filter(record("a", exc_info=raised(KeyError("y"))))


def test_record_passes_several_filters() -> None:
    """A record that a logger's filter has accepted passes the handler's filter too."""
    limit, made = LogLimit(), record()
    assert limit.filter(made)
    assert limit.filter(made)
    assert not limit.filter(record())


def test_count_follows_each_minute(caplog: pytest.LogCaptureFixture) -> None:
    """A repeating cause is counted every minute, and logged again after a long pause."""
    clock = Clock()
    limit = LogLimit(clock)
    assert limit.filter(record())
    for minute in range(3):
        for _ in range(1_000):
            clock.now += 0.05
            assert not limit.filter(record())
        clock.now = 61.0 * (minute + 1)
        limit.report()
    assert [r.getMessage() for r in caplog.records] == ["1000 more like this: ERROR name: a"] * 3
    clock.now += 61
    limit.report()
    assert len(caplog.records) == 3
    assert limit.filter(record())


def test_causes_are_bounded() -> None:
    """The number of tracked causes is limited, and further ones are counted as one."""
    limit = LogLimit()
    passed = sum(limit.filter(record(line=line)) for line in range(2 * MAX_CAUSES))
    assert passed == MAX_CAUSES + 1
    assert len(limit._windows) == MAX_CAUSES + 1


@pytest.mark.parametrize("unsafe", ["\n", "\r", "\x00", "\x1b", "\x7f", "\x9b", "\u2028", "\u202e"])
def test_line_is_one_line(unsafe: str) -> None:
    """Strangers' text cannot begin a line, move the cursor or change the direction of writing."""
    text = SafeFormatter().format(record("a %s b", f"{unsafe}x"))
    assert unsafe not in text
    assert text.startswith("ERROR name: a \\")
    trace = SafeFormatter().format(record(exc_info=raised(ValueError(f"{unsafe}ERROR x"))))
    first, *others = trace.split("\n")
    assert first == "ERROR name: a"
    assert all(line.startswith("  ") for line in others)
    assert unsafe == "\n" or unsafe not in trace


def test_line_is_short_and_can_be_written() -> None:
    """Long texts, lone surrogates and endless tracebacks do not reach the stream."""
    assert len(escaped("x" * 10_000)) < 2_100
    assert escaped("\ud800é").encode() == b"\\ud800\xc3\xa9"

    def nested(depth: int) -> None:
        try:
            raise ValueError("x" * 10_000)
        except ValueError as error:
            if depth:
                nested(depth - 1)
            raise KeyError from error

    try:
        nested(100)
    except KeyError as error:
        text = SafeFormatter().format(record(exc_info=(type(error), error, None)))
    assert len(text.split("\n")) < 70


def test_record_that_cannot_be_shown() -> None:
    """Arguments that do not fit, or cannot be written, cause no traceback in logging itself."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert SafeFormatter().format(record("%d", "x")) == "ERROR name: %d"
    assert SafeFormatter().format(record("%r", deep)) == "ERROR name: %r"
    while deep:  # otherwise freeing it would recurse as deeply
        deep = deep.pop()


def test_unhandled_errors() -> None:
    """Errors caught by the event loop are logged once for each kind."""
    limit = LogLimit()
    loop: Any = None
    with log_of(limit) as log:
        for number in range(50):
            for error in (ValueError(number), KeyError(number)):
                unhandled(loop, {"message": f"Task {number}\n", "exception": raised(error)[1]})
        unhandled(loop, {"message": "Task was destroyed"})
        lines = log()
    assert [line for line in lines if not line.startswith(" ")] == [
        "ERROR asyncio: Unhandled error: Task 0\\n",
        "ERROR asyncio: Unhandled error: Task 0\\n",
        "ERROR asyncio: Unhandled error: Task was destroyed",
    ]


async def test_report_at_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Counts are written every minute, and when the host ends."""
    monkeypatch.setattr(log_limit, "_MINUTE", 0.01)
    limit = LogLimit()
    reporting = asyncio.create_task(limit.keep_reporting())
    limit.filter(record())
    limit.filter(record())
    async with asyncio.timeout(5):
        while not caplog.records:  # noqa: ASYNC110 - nothing signals it
            await asyncio.sleep(0.01)
    limit.filter(record("b", line=7))
    limit.filter(record("b", line=7))
    reporting.cancel()
    await asyncio.gather(reporting, return_exceptions=True)
    assert [r.getMessage()[:16] for r in caplog.records] == ["1 more like this"] * 2
