"""The bus: after any message, the host still works, receives messages, and harms no client."""

from __future__ import annotations

import contextlib
import gc
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.contract.bus import RESERVED_EVENTS
from socket_host.presence import Presence
from tests.fuzz.effort import examples
from tests.fuzz.network import Network
from tests.fuzz.target import Target
from tests.fuzz.wire import Wire
from tests.fuzz.world import Stage

_RECOVERY = 20.0  # seconds
_GONE = 10.0  # seconds after which a silent host is lost
_MOST_LINES = 20  # of log, however many messages are unknown


class Hosts:
    """A host on such a bus, with three clients; the test acts as the other hosts."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.bus: Any = network.host.bus
        self.presence = Presence(lambda room: None, network.host.bus)
        self.client = network.joined()
        gone = network.joined()
        gone.send('42["enter"]')
        self.auth = self._auth(gone.open and gone)
        gone.connection.cut()
        recovery: Any = network.host.sio.recovery
        stranger = network.websocket()
        stranger.send("40" + json.dumps({"pid": recovery.pid("x" * 20, ""), "offset": "a.1"}))
        self.stranger = stranger
        network.loop.settle()

    def _auth(self, socket: Any) -> str:
        sid = next(iter(self.network.host.sio.manager.rooms["/"].rooms["red"].members))
        pid = self.network.host.sio.recovery.pid(sid, "")
        return json.dumps({"pid": pid, "offset": self._offset()})

    def _offset(self) -> str:
        replay_buffer = self.network.host.sio.recovery.replay_buffer
        return str(replay_buffer.offset(replay_buffer.position))

    @property
    def question(self) -> str:
        """The id of the host's last request to the others."""
        asked = [said["body"][0] for said in self.bus.sent if said.get("subject") == "recovery.ask"]
        return asked[-1] if asked else ""

    def bring(self, *bodies: bytes) -> None:
        """Deliver messages from the bus."""
        for body in bodies:
            self.bus.incoming.put_nowait(body)
        self.network.loop.settle()

    def send(self, host: str, number: int, **message: Any) -> None:
        """Deliver a valid message from another host."""
        identified = {"message_id": f"{host}:{number}", "host_id": host} | message
        self.bring(json.dumps(identified).encode())

    def announce(self, host: str, number: int, subject: str, body: Any) -> None:
        """Deliver a valid announcement from another host."""
        self.send(host, number, method="announcement", subject=subject, body=body)


@contextlib.contextmanager
def hosts() -> Any:
    """Run such a host."""
    with Network(Stage, Wire, recovery_seconds=_RECOVERY, ping_interval=1e6) as network:
        yield Hosts(network)


def check(data: bytes) -> None:
    """Deliver lines as messages; `?` stands for the id of the host's request."""
    with hosts() as on:
        question = on.question.encode()
        for body in data.split(b"\n"):
            on.bring(body.replace(b"?", question))
        check_after(on)


def check_messages(messages: list[Any]) -> None:
    """Assert what must hold after some messages."""
    check(b"\n".join(json.dumps(message).encode() for message in messages))


def check_after(on: Hosts) -> None:
    """Assert that the host still receives messages and harms no client."""
    loop = on.network.loop
    assert not loop.errors, loop.errors
    _check_events(on)
    _check_recovery(on)
    _check_presence(on)
    assert not loop.errors, loop.errors
    assert not on.network.host.transport._migration._requests


def _check_events(on: Hosts) -> None:
    emit = {"method": "emit", "namespace": "/", "room": None, "skip_sid": None, "callback": None}
    on.send("honest", 1, **emit, event="good", data=["news"])
    received = [packet for packet in on.client.receive() if isinstance(packet, str)]
    for packet in received:
        if packet.startswith("42["):
            name, *_ = json.loads(packet[2:], parse_constant=_no_number)
            assert isinstance(name, str), "the client's library ends the connection"
            assert name not in RESERVED_EVENTS, "the client's library ends the connection"
    assert any(packet.startswith('42["good","news"') for packet in received)


def _no_number(name: str) -> None:
    raise AssertionError(f"{name} is not JSON: the browser ends the connection")


def _check_recovery(on: Hosts) -> None:
    """Clients that try to resume are answered soon; the one known here gets its state."""
    back = on.network.websocket()
    back.send("40" + on.auth)
    on.network.loop.move(5)
    assert _answers(on.stranger.receive()) == 1
    received = back.receive()
    assert _answers(received) == 1
    assert json.loads(on.auth)["pid"].split(".")[0] in str(received[0]), "it begins anew"


def _answers(packets: list[Any]) -> int:
    return sum(str(packet).startswith(("40{", "44{")) for packet in packets)


def _check_presence(on: Hosts) -> None:
    """A host's report of its visitors is applied, whatever others have reported before."""
    on.announce("honest", 2, "peers", {"word": "hello", "state": {"attendance": 1}})
    full = {"all": [["plaza", "ann", "Ann"]], "part": 0, "of": 1, "number": 1}
    on.announce("honest", 3, "attendance", full)
    assert "Ann" in str(on.presence.who("plaza"))
    on.network.loop.move(_GONE)
    assert "Ann" not in str(on.presence.who("plaza"))
    assert not on.bus.peers


_text = st.sampled_from(
    ["", "a", "/", "red", "plaza", "other", "other:1", "?", "\ud800", "attendance"]
)
_text |= st.sampled_from(["connect", "other:-5", "other:+1_0", "other:99999999999", "\u0661"])
_scalars = st.none() | st.booleans() | st.integers(-2, 3) | st.just(10**30) | st.floats() | _text
_any = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=2)
)
_ids = st.sampled_from([f"other:{number}" for number in range(1, 9)]) | _any
_base = {"host_id": st.sampled_from(["other", "another"]) | _any, "message_id": _ids}
_rooms = st.sampled_from([None, "red"]) | st.lists(_any, max_size=2) | _any
_emits = st.fixed_dictionaries(
    _base
    | {
        "method": st.just("emit"),
        "event": _text | st.sampled_from(sorted(RESERVED_EVENTS)) | _any,
        "data": st.lists(_any, max_size=2) | _any,
        "namespace": st.just("/") | _any,
        "room": _rooms,
    },
    optional={"skip_sid": _rooms, "callback": _any, "binary": _any},
)
_commands = st.fixed_dictionaries(
    _base
    | {
        "method": st.sampled_from(
            ["callback", "disconnect", "enter_room", "leave_room", "close_room", "emit", "x"]
        )
    },
    optional=dict.fromkeys(("sid", "id", "args", "event", "data"), _any)
    | {"namespace": st.just("/") | _any, "room": _rooms},
)
_sent = st.tuples(_text, _text, _text).map(list) | _any
_numbers = st.sampled_from([1, 2, 0]) | _any
_had = st.dictionaries(_text, st.tuples(_numbers, st.just("1") | _any).map(list), max_size=2) | _any
_events = st.tuples(st.just("a.1") | _any, st.just('42["x","a.1"]') | _any).map(list)
_states = st.tuples(
    st.lists(_any, max_size=2), _any, st.lists(_events | _any, max_size=2), _had
).map(list)
_entries = st.tuples(
    _numbers, _events | _any, st.just("/") | _any, _rooms, st.lists(_any, max_size=2)
).map(list)
_disconnected = st.tuples(
    st.just("/") | _any,
    _text | _any,
    st.lists(st.tuples(_any, _numbers).map(list), max_size=2) | _any,
    _any,
    _numbers,
    _any,
    st.lists(_events | _any, max_size=2) | _any,
).map(list)
_bodies = {
    "peers": st.fixed_dictionaries(
        {"word": st.sampled_from(["hello", "alive", "goodbye"]) | _any},
        optional={"state": st.fixed_dictionaries({}, optional={"attendance": _any}) | _any},
    ),
    "attendance": st.fixed_dictionaries(
        {"number": _numbers, "news": st.lists(_sent, max_size=2) | _any}
    )
    | st.fixed_dictionaries(
        {"number": _numbers, "all": st.lists(_sent) | _any, "part": _numbers, "of": _numbers}
    )
    | st.fixed_dictionaries({"ask": _any}),
    "recovery.ask": st.tuples(_any, st.just("/") | _any, _text | _any, st.just("a.1") | _any).map(
        list
    ),
    "recovery.answer": st.tuples(st.just("?") | _any, _states | _any).map(list),
    "recovery.estate": st.fixed_dictionaries(
        {"tag": _text | _any, "position": _numbers},
        optional={
            "entries": st.lists(_entries | _any, max_size=2) | _any,
            "dropped": st.lists(_disconnected | _any, max_size=2) | _any,
            "had": _had,
        },
    ),
    "recovery.claim": _any,
}
_announcements = st.sampled_from(sorted(_bodies)).flatmap(
    lambda subject: st.fixed_dictionaries(
        _base
        | {
            "method": st.just("announcement"),
            "subject": st.just(subject),
            "body": _bodies[subject] | _any,
        }
    )
)

TARGET = Target(
    "bus",
    check,
    (
        b'"method":"emit"',
        b'"method":"announcement"',
        b'"subject":"recovery.answer"',
        b'"body":',
        b'"message_id":"other:1"',
        b'"host_id":"other"',
        b"\n",
        b"?",
        b"null",
        b"{}",
        b"[]",
        b'"subject":"peers"',
        b'"word":"hello"',
        b'"state":{}',
        b'"subject":"attendance"',
        b'"subject":"recovery.ask"',
        b'"subject":"recovery.estate"',
        b'"tag":',
        b'"had":{}',
        b'"room":',
        b'"data":[]',
        b'"namespace":"/"',
        b'"event":"x"',
        b'"skip_sid":',
    ),
)


@examples(60)
@given(st.lists(_emits | _commands | _announcements | _any, max_size=4))
def test_any_messages(messages: list[Any]) -> None:
    """After any messages, valid ones are applied, clients are answered, and none is harmed."""
    check_messages(messages)


@examples(50)
@given(st.binary(max_size=40))
def test_any_bytes(data: bytes) -> None:
    """Bytes that are not a message are ignored."""
    check(data)


def _announcement(subject: str, body: Any) -> dict[str, Any]:
    identified = {"message_id": "other:1", "host_id": "other", "method": "announcement"}
    return identified | {"subject": subject, "body": body}


def _event(**changes: Any) -> dict[str, Any]:
    said = {"message_id": "other:1", "host_id": "other", "method": "emit", "namespace": "/"}
    return said | {"event": "x", "data": [], "room": None} | changes


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(_announcement("recovery.ask", ["q", "/", [], None]), id="sid is a list"),
        pytest.param(_announcement("recovery.ask", ["q", {}, "sid", None]), id="namespace is none"),
        pytest.param(_event(room=[{}]), id="a room that is not a name stays in the replay buffer"),
        pytest.param(_event(event=None), id="event without a name"),
        pytest.param(_event(event="connect"), id="event whose name is the protocol's"),
        pytest.param(_event(data=[float("nan")]), id="NaN"),
    ],
)
def test_wrong_shapes_harm_nobody(message: dict[str, Any]) -> None:
    """An invalid message is ignored: no task fails, and no client is harmed."""
    check_messages([message])


def test_unknown_messages_are_logged_once() -> None:
    """Unknown messages do not flood the log."""
    with hosts() as on:
        for number in range(100):
            on.announce("other", number, "recovery.answer", None)
        assert len(on.network.log.lines) <= _MOST_LINES


def test_greetings_do_not_flood_the_log() -> None:
    """Hosts that start and stop do not write a line each."""
    with hosts() as on:
        for number in range(100):
            on.announce(f"host{number}", 1, "peers", {"word": "hello", "state": {}})
        on.network.loop.move(_GONE)
        assert len(on.network.log.lines) <= _MOST_LINES


def test_memory_of_senders_has_a_bound_in_bytes() -> None:
    """The memory kept per message does not depend on its size."""
    with hosts() as on:
        tracemalloc.start()
        for number in range(100):
            on.send(f"{number}" + "x" * 100_000, 1, method="emit", event="x", data=[])
        on.network.loop.move(1)
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert kept < 2_000_000
