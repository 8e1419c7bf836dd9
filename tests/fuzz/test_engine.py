"""The engine: whatever clients do, in any order, it keeps working, and frees their memory."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz.effort import examples
from tests.fuzz.network import Network
from tests.fuzz.target import Choices, Target
from tests.fuzz.world import STEPS, Poller, Stage, Step, run

_MOST_STEPS = 40

_PACKETS = [
    "40",
    "40{}",
    "40/a,",
    '40{"session":"x"}',
    "41",
    "41/a,",
    "40/",
    "44{}",
    "3",
    "2",
    "1",
    "6",
    '42["echo"]',
    '421["echo",1]',
    '42["say",1]',
    '42["enter"]',
    '42["leave"]',
    '42["ask"]',
    '431["yes"]',
    '42["wait"]',
    '42["go"]',
    '42["connect"]',
    '421["disconnect"]',
    "2probe",
    '42["remember",1]',
    '42["whisper","x"]',
    '451-["say",{"_placeholder":true,"num":0}]',
    "5",
    "4",
    "",
    "b",
    "bAAAA",
    "0",
    "7",
    "42",
    "42[]",
    "43[]",
    '452-1["echo"]',
    '42["\\ud800"]',
]
_WORDS = tuple(packet.encode() for packet in [*_PACKETS, "|", "2probe|5"])


def check(data: bytes) -> None:
    """Run bytes as steps: the action, the client, and the data with its length."""
    choices = Choices(data)
    steps: list[Step] = []
    while choices.left and len(steps) < _MOST_STEPS:
        steps.append(Step(STEPS[choices.number(len(STEPS))], choices.number(8), choices.some()))
    run(steps)


_payloads = (
    st.lists(st.sampled_from(_PACKETS), min_size=1, max_size=4).map("|".join).map(str.encode)
    | st.sampled_from([b"2probe|5", b"2probe", b'40|42["say",1]', b"A" * 3_000, b""])
    | st.binary(max_size=30)
)
_requests = st.sampled_from(
    [
        b"GET /health HTTP/1.1\nHost: x\n\n",
        b"GET /socket.io HTTP/1.1\n\n",
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\nHost: x\n\n",
        b"POST /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\nContent-Length: 5\n\n40",
        b"POST /bus HTTP/1.1\nHost: x\nContent-Length: 2\n\n{}",
        b"OPTIONS /socket.io/ HTTP/1.1\nHost: x\nOrigin: y\n\n",
        b"\n\n",
    ]
)
_steps = st.lists(
    st.builds(Step, st.sampled_from(STEPS), st.integers(0, 5), _payloads)
    | st.builds(Step, st.sampled_from(["text", "post", "upgrade"]), st.integers(0, 3), _payloads)
    | st.builds(Step, st.just("request"), st.just(0), _requests),
    max_size=_MOST_STEPS,
)

TARGET = Target("engine", check, _WORDS)


@examples(100)
@given(_steps)
@example([Step("poll", 0, b""), Step("post", 0, b"40"), Step("emit", 0, b"x")])  # leaked once
def test_any_steps(steps: list[Step]) -> None:
    """After any steps the host is healthy, serves honest clients, and has forgotten the others."""
    run(steps)


def test_large_event_reaches_a_polling_client() -> None:
    """A client that reads gets an event that is larger than the limit for slow clients."""
    with Network(Stage) as network:
        poller = Poller(network)
        network.loop.run(network.host.sio.emit("news", "x" * (1 << 20)))
        poller.serve('421["echo",1]')
