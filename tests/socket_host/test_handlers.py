"""Handlers: names of events, their limits, annotated payloads, and hooks."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import aiohttp
import pydantic
import pytest

from functions.contract.setting import StartError
from socket_host.event_error import EventError
from socket_host.handlers import Limit, event
from socket_host.namespace import Namespace
from tests.kit.clients import clients
from tests.kit.hosts import on_each_transport, serving, settings, token, url


@dataclass
class Line:
    """A part of an order."""

    item: str
    price: float = 1


@dataclass
class Order:
    """A client's order."""

    amount: int
    kind: Literal["tea", "milk"] = "tea"
    lines: list[Line] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.amount > 99:
            raise EventError("Nobody can drink that much.", field="amount", reason="thirst")


class Label(pydantic.BaseModel):
    """A pydantic model."""

    text: str = pydantic.Field(max_length=3)


class Shop(Namespace):
    """Handlers of each kind."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.called: list[str] = []

    async def on_connect(self, sid: str, environ: Mapping[str, Any], auth: Any) -> None:
        self.called.append("connect")

    async def on_recover(self, sid: str) -> None:
        self.called.append("recover")

    async def on_disconnect(self, sid: str, reason: str) -> None:
        self.called.append(f"disconnect {reason}")

    @event("auction:bid", limit="2/h")
    async def bid(self, sid: str, amount: int) -> int:
        return amount

    @event(limit="3/h")
    def on_look(self, sid: str) -> str:
        return "seen"

    @event("order")
    def take_order(self, sid: str, order: Order, note: str | None = None) -> Any:
        assert isinstance(order, Order)
        return [order.amount, order.kind, [line.price for line in order.lines], note]

    def on_label(self, sid: str, label: Label) -> str:
        return label.text

    def on_sum(self, sid: str, *numbers: int) -> int:
        return sum(numbers)

    def helper(self, sid: str) -> str:
        return "not for clients"


@on_each_transport
async def test_event_by_name(transport: str, tmp_path: Path) -> None:
    """`@event` sets an event's name; the method's own name is then no event."""
    async with serving(tmp_path, Shop, transport=transport) as host, clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        assert await ann.call("auction:bid", 7) == 7
        for name in ("bid", "take_order", "helper", "on_look"):
            assert "There is no handler" in (await ann.call(name, 1))["error"]


@on_each_transport
@pytest.mark.parametrize("name", ["connect", "disconnect", "recover", "on_connect", "admit"])
async def test_hooks_are_not_events(name: str, transport: str, tmp_path: Path) -> None:
    """Clients cannot call hooks by sending events with their names."""
    async with serving(tmp_path, Shop, transport=transport) as host, clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        for values in ((), ({},), ({}, {})):
            assert "error" in await ann.call(name, *values)
        assert host.namespaces[0].called == ["connect"]
        assert host.namespaces[0].refused == {"unknown event": 3}


@on_each_transport
async def test_event_named_disconnect_while_disconnecting(transport: str, tmp_path: Path) -> None:
    """An event named `disconnect` does not call the hook, even while its sender disconnects."""
    async with serving(tmp_path, Shop, transport=transport) as host, clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        await ann.emit("disconnect", "forged")
        await ann.close()
        async with asyncio.timeout(20):
            while len(host.namespaces[0].called) < 2:  # noqa: ASYNC110 - nothing signals it
                await asyncio.sleep(0.01)
        connect, disconnect = host.namespaces[0].called
        assert connect == "connect"
        assert "forged" not in disconnect


@on_each_transport
async def test_limit_of_an_event(transport: str, tmp_path: Path) -> None:
    """Limits apply to each event and each client separately, in all namespaces."""
    async with serving(tmp_path, Shop, transport=transport) as host, clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        bob = await people.connect(url(host), token("Bob"))
        assert [await ann.call("auction:bid", n) for n in (1, 2)] == [1, 2]
        refused = await ann.call("auction:bid", 3)
        assert refused.keys() == {"error", "retry"}
        assert "too often" in refused["error"]
        assert [await ann.call("look") for _ in range(3)] == ["seen"] * 3
        assert "too often" in (await ann.call("look"))["error"]
        assert await bob.call("auction:bid", 4) == 4
        assert await ann.call("sum", 1) == 1
        assert host.namespaces[0].refused == {"rate": 2}


@pytest.mark.parametrize(
    ("payload", "field_", "words"),
    [
        ([], "amount", "missing"),
        ({"amount": "7"}, "amount", "whole number"),
        ({"amount": True}, "amount", "whole number"),
        ({"amount": 7, "kind": "beer"}, "kind", "'tea' or 'milk'"),
        ({"amount": 7, "lines": [{"item": "x"}, {"item": 2}]}, "lines.1.item", "string"),
        ({"amount": 7, "lines": {}}, "lines", "list"),
        ({"amount": 100}, "amount", "drink"),
    ],
)
async def test_mistake_in_a_payload(payload: Any, field_: str, words: str, tmp_path: Path) -> None:
    """A payload that does not fit its annotation gets an error that names the field."""
    async with serving(tmp_path, Shop) as host, clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        answer = await ann.call("order", payload or {})
        assert answer.keys() == {"error", "field"}
        assert answer["field"] == field_
        assert words in answer["error"]
        assert await ann.call("sum", 1, 2) == 3


async def test_payloads(tmp_path: Path) -> None:
    """Payloads are converted to the annotated type: dataclasses, pydantic models, plain types."""
    async with serving(tmp_path, Shop) as host, clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        order = {"amount": 2, "kind": "milk", "lines": [{"item": "x"}], "unknown": 1}
        assert await ann.call("order", order) == [2, "milk", [1], None]
        assert await ann.call("order", order, "soon") == [2, "milk", [1], "soon"]
        assert (await ann.call("order", order, 7))["field"] == "note"
        assert (await ann.call("order"))["error"] == "This event takes 1 to 2 values, not 0."
        assert await ann.call("label", {"text": "abc"}) == "abc"
        assert (await ann.call("label", {"text": "abcd"}))["field"] == "text"
        assert (await ann.call("sum", 1, 2, "3"))["field"] == "numbers"


@dataclass
class Picture:
    """A payload with bytes, and with a field that clients cannot set."""

    data: bytes
    others: list[bytes | None] = field(default_factory=list)
    made: ClassVar[Path] = Path()


class Gallery(Namespace):
    """Handlers that take bytes."""

    def on_show(self, sid: str, data: bytes) -> bytes:
        return data[::-1]

    def on_say(self, sid: str, *words: bytes | str) -> list[bytes | str]:
        return list(words)

    def on_hang(self, sid: str, picture: Picture) -> int:
        return len(picture.data) + sum(len(one or b"") for one in picture.others)

    def on_all(self, sid: str, things: list[object], named: dict[str, bytes]) -> int:
        return len(things) + sum(map(len, named.values()))


@on_each_transport
async def test_bytes(transport: str, tmp_path: Path) -> None:
    """Arguments annotated as bytes accept only bytes."""
    async with (
        serving(tmp_path, Gallery, transport=transport) as host,
        clients() as people,
    ):
        ann = await people.connect(url(host), token("Ann"))
        assert await ann.call("show", b"abc") == b"cba"
        assert await ann.call("show", b"") == b""
        assert await ann.call("say", "a", b"b") == ["a", b"b"]
        assert await ann.call("hang", {"data": b"ab", "others": [b"c", None]}) == 3
        assert await ann.call("all", [b"a", 1], {"x": b"bc"}) == 4
        refused = await ann.call("show", "abc")
        assert refused == {"error": "`data` must be binary data.", "field": "data"}
        assert (await ann.call("say", 7))["error"] == "`words` must be binary data or a string."
        assert (await ann.call("hang", {"data": b"", "others": [7]}))["field"] == "others.0"


def test_limits_are_parsed() -> None:
    """A limit is a number per second, minute or hour."""
    assert Limit.parse("5/s") == Limit(5, 5)
    assert Limit.parse("30/m") == Limit(0.5, 30)
    assert Limit.parse("1/h").burst == 1
    for text in ("5", "0/s", "5/d", "5 / s", "-1/s", "1.5/s", ""):
        with pytest.raises(ValueError, match=r"a limit must look like 5/s"):
            Limit.parse(text)


class Twice(Namespace):
    """Two methods for one event."""

    def on_bid(self, sid: str) -> None: ...

    @event("bid")
    def other(self, sid: str) -> None: ...


class Nameless(Namespace):
    """A method whose event has no name."""

    @event(limit="1/s")
    def bid(self, sid: str) -> None: ...


class Odd(Namespace):
    """A payload that cannot be JSON."""

    def on_bid(self, sid: str, when: Path) -> None: ...


class Unknown(Namespace):
    """An annotation with an unknown name."""

    def on_bid(self, sid: str, when: "Nothing") -> None: ...  # type: ignore[name-defined]  # noqa: F821


class Bare(Namespace):
    """An `@event` without parentheses."""

    @event  # type: ignore[arg-type]
    def bid(self, sid: str) -> None: ...


class Reserved(Namespace):
    """A handler that no client can call."""

    @event("disconnect")
    def bid(self, sid: str) -> None: ...


class NoText(Namespace):
    """An event whose name is a number."""

    @event(5)  # type: ignore[arg-type]
    def bid(self, sid: str) -> None: ...


class Often(Namespace):
    """A limit in an unknown unit."""

    @event(limit="5/x")
    def on_bid(self, sid: str) -> None: ...


class Number(Namespace):
    """A limit without a unit."""

    @event(limit=5)  # type: ignore[arg-type]
    def on_bid(self, sid: str) -> None: ...


class NoClaim(Namespace):
    """An empty claim."""

    @event(claim="")
    def on_bid(self, sid: str) -> None: ...


class Forgetful(Namespace):
    """A handler that does not take the sid."""

    def on_bid(self) -> None: ...


class ByName(Namespace):
    """A handler with a keyword-only argument."""

    def on_bid(self, sid: str, *, amount: int) -> None: ...


class NumberedKeys(Namespace):
    """An object whose keys are numbers."""

    def on_bid(self, sid: str, bids: dict[int, str]) -> None: ...


@dataclass
class Other:
    """A second object."""

    amount: int


class Ambiguous(Namespace):
    """A payload that may be one of two objects."""

    def on_bid(self, sid: str, bid: Other | dict[str, int]) -> None: ...


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Bare, "Bare.bid needs the name of its event"),
        (Reserved, "Reserved.bid: 'disconnect' is reserved by Socket.IO"),
        (NoText, "NoText.bid: the name of an event must be a string, not 5"),
        (Often, "Often.on_bid: a limit must look like 5/s, 30/m or 100/h, not '5/x'"),
        (Number, "Number.on_bid: a limit must look like 5/s, 30/m or 100/h, not 5"),
        (NoClaim, "NoClaim.on_bid: a claim must be a name, or a name and value"),
        (Forgetful, "Forgetful.on_bid: the first argument after `self` must be the client's sid"),
        (ByName, "ByName.on_bid: `amount` is keyword-only"),
        (NumberedKeys, "NumberedKeys.on_bid cannot be used: the keys of .* must be str"),
        (Ambiguous, "Ambiguous.on_bid cannot be used: more than one type of .* is an object"),
        (Twice, "Twice.other handles 'bid', but so does another method"),
        (Nameless, "Nameless.bid needs the name of its event"),
        (Odd, "Odd.on_bid cannot be used: .*Path"),
        (Unknown, "Unknown.on_bid cannot be used: name 'Nothing'"),
    ],
)
def test_wrong_handlers_stop_the_start(kind: type[Namespace], words: str, tmp_path: Path) -> None:
    """An invalid handler is an error at the start, not for its first client."""
    with pytest.raises(StartError, match=words):
        kind(settings(tmp_path))


@on_each_transport
@pytest.mark.parametrize("namespace", [None, "/", "*"])
async def test_registering_other_handlers(
    namespace: str | None, transport: str, tmp_path: Path
) -> None:
    """Handlers that would bypass a namespace's limits are refused; others are allowed."""
    async with serving(tmp_path, Shop, transport=transport) as host:
        with pytest.raises(StartError, match="Shop handles the events"):
            host.sio.on("look", lambda sid: None, namespace=namespace)
        with pytest.raises(StartError, match="Shop handles the events"):
            host.sio.register_namespace(Shop(host.settings))
        host.sio.on("look", lambda sid: None, namespace="/admin")
        async with aiohttp.ClientSession() as http, http.get(f"{url(host)}/health") as answer:
            assert answer.status == 200
