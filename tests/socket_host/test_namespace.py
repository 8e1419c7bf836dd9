"""What a namespace does for every event."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from socketio.exceptions import ConnectionRefusedError as Refused

from functions.contract.session import Session
from socket_host.event_error import EventError
from socket_host.namespace import Namespace
from tests.kit.clients import clients
from tests.kit.hosts import PATIENCE, on_each_transport, serving, token, url
from tests.kit.waiting import until

pytestmark = on_each_transport


class App(Namespace):
    """A small app whose handlers each show one thing."""

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        self.gate = asyncio.Event()
        self.gone: list[tuple[str, str]] = []
        self.answered = self.answered_before_stop = False
        yield
        self.answered_before_stop = self.answered

    async def on_connect(self, sid: str, environ: Mapping[str, Any], auth: Any) -> None:
        await self.emit("greeting", self.visitor(sid).name, to=sid)

    async def on_disconnect(self, sid: str, reason: str) -> None:
        self.gone.append((self.visitor(sid).name, reason))

    def on_add_up(self, sid: str, *numbers: int) -> int:
        return sum(numbers)

    async def on_swap(self, sid: str, a: Any, b: Any = "nothing") -> tuple[Any, Any]:
        return b, a

    async def on_refuse(self, sid: str) -> None:
        raise EventError("Not today.", reason="mood", retry=True)

    async def on_break(self, sid: str) -> None:
        raise RuntimeError("a bug")

    async def on_cancelled(self, sid: str) -> None:
        raise asyncio.CancelledError  # as if it awaited a task that was cancelled

    async def on_wait(self, sid: str) -> str:
        await self.gate.wait()
        self.answered = True
        return "done"


async def test_method_answers_its_event(transport: str, tmp_path: Path) -> None:
    """`on_add_up` handles `add-up` and `add_up`, async or not; its return value is the ack."""
    async with serving(tmp_path, App, transport=transport) as host, clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        assert await ann.receive("greeting") == "Ann"
        assert await ann.call("add-up", 1, 2, 3) == 6
        assert await ann.call("add_up") == 0
        assert await ann.call("swap", 1, 2) == 2
        assert await ann.call("swap", 1) == "nothing"
        assert "takes" in (await ann.call("swap"))["error"]
        assert "takes" in (await ann.call("swap", 1, 2, 3))["error"]
        assert await ann.call("refuse") == {"error": "Not today.", "retry": True}
        assert host.namespaces[0].refused["mood"] == 1


@pytest.mark.parametrize("event", ["break", "cancelled"])
async def test_bug_in_a_handler(
    event: str, transport: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A failing handler is logged once, with a traceback; its client gets an error, and stays."""
    async with serving(tmp_path, App, transport=transport) as host, clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        answer = await ann.call(event)
        assert "a bug" not in answer["error"]
        assert await ann.call("add-up", 1) == 1
    (record,) = [r for r in caplog.records if r.exc_info]
    assert repr(event) in record.getMessage()


async def test_events_named_like_hooks(transport: str, tmp_path: Path) -> None:
    """An event named `disconnect` or `connect` does not connect or disconnect its sender."""
    async with serving(tmp_path, App, transport=transport) as host, clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        for event in ("connect", "disconnect"):
            assert "error" in await ann.call(event, {}, {})
        assert host.namespaces[0].gone == []
        await ann.close()
        async with asyncio.timeout(PATIENCE):
            while not host.namespaces[0].gone:  # noqa: ASYNC110 - nothing signals it
                await asyncio.sleep(0.01)
        assert [name for name, _ in host.namespaces[0].gone] == ["Ann"]


async def test_stop_waits_for_answers(transport: str, tmp_path: Path) -> None:
    """A stopping host finishes running events before it closes the app."""
    async with serving(tmp_path, App, transport=transport) as host, clients() as people:
        ann = await people.connect(url(host), token("Ann"), client={"reconnection": False})
        await ann.emit("wait")
        await ann.call("add-up")
        asyncio.get_running_loop().call_later(0.5, host.namespaces[0].gate.set)
        await host.stop()
        assert host.namespaces[0].answered_before_stop


class Slow(App):
    """Has a slow `on_connect`."""

    async def on_connect(self, sid: str, environ: Mapping[str, Any], auth: Any) -> None:
        await self.gate.wait()
        await self.emit("greeting", "late", to=sid)
        self.greeted = True

    def on_greeted(self, sid: str) -> bool:
        return self.greeted


async def test_client_is_connected_after_on_connect(transport: str, tmp_path: Path) -> None:
    """No client is connected, and no event is handled, before `on_connect` has ended."""
    async with serving(tmp_path, Slow, transport=transport) as host, clients() as people:
        connecting = asyncio.create_task(people.connect(url(host), token("Ann")))
        await until(lambda: host.namespaces[0]._clients)
        assert not connecting.done()
        host.namespaces[0].gate.set()
        ann = await connecting
        assert await ann.receive("greeting") == "late"
        assert await ann.call("greeted") is True


async def test_client_leaves_during_on_connect(transport: str, tmp_path: Path) -> None:
    """A client that leaves before it is connected is forgotten."""
    javascript = clients("javascript")
    async with serving(tmp_path, Slow, transport=transport) as host, javascript as people:
        ann = await people.begin(url(host), token("Ann"), wait=False)
        await until(lambda: host.namespaces[0]._clients)
        await ann.close()
        host.namespaces[0].gate.set()
        await until(lambda: not host.namespaces[0]._clients)
        await until(lambda: not host.visitors.clients)
        await until(lambda: not host.transport.connections())


NOT_JSON = "A ConnectionRefusedError has data that cannot be sent as JSON."


class Picky(App):
    """Refuses clients in every possible way."""

    def admit(self, sid: str, environ: Mapping[str, Any], auth: Any) -> Session:
        session = super().admit(sid, environ, auth)
        if session.name == "Ann":
            raise Refused("Not you.", {"code": "mood"})
        if session.name == "Eve":
            raise RuntimeError("a bug")
        if session.name == "Gus":
            raise EventError("Nor him.")
        return None if session.name == "Hal" else session  # type: ignore[return-value]  # a bug, too

    def may_join(self, sid: str, room: str) -> bool:
        return room != "staff"

    async def on_connect(self, sid: str, environ: Mapping[str, Any], auth: Any) -> bool | None:
        match self.visitor(sid).name:
            case "Bob":
                raise Refused("Nor you.")
            case "Cid":
                return False
            case "Dan":
                raise RuntimeError("another bug")
            case "Fay":
                await self.disconnect(sid)
            case "Ida":
                await self.enter_room(sid, "staff")
            case "Jim":
                raise Refused("No.", {"since": self})
            case "Kay":
                raise Refused("No.", b"for no reason")
        return None


async def test_app_refuses_clients(
    transport: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A client refused by `admit` or `on_connect` is never connected."""
    javascript = clients("javascript")
    async with serving(tmp_path, Picky, transport=transport) as host, javascript as people:
        ann = await people.begin(url(host), token("Ann"), wait=False)
        assert await ann.receive("connect_error") == {
            "message": "Not you.",
            "data": {"code": "mood"},
        }
        eve = await people.begin(url(host), token("Eve"), wait=False)
        assert (await eve.receive("connect_error"))["data"] == {"code": "failed"}
        bob = await people.begin(url(host), token("Bob"), wait=False)
        assert (await bob.receive("connect_error"))["message"] == "Nor you."
        for name, code in (
            ("Cid", "connect"),
            ("Dan", "failed"),
            ("Fay", "connect"),
            ("Gus", "connect"),
            ("Hal", "failed"),
            ("Ida", "connect"),
        ):
            refused = await people.begin(url(host), token(name), wait=False)
            assert (await refused.receive("connect_error"))["data"] == {"code": code}
            assert refused.inbox.order == ["connect_error"]
        for name in ("Jim", "Kay"):
            refused = await people.begin(url(host), token(name), wait=False)
            assert "could not accept" in (await refused.receive("connect_error"))["message"]
        assert host.namespaces[0].gone == []
        assert host.namespaces[0]._clients == {}
        assert host.visitors.clients == {}
    failures = [record.getMessage() for record in caplog.records if record.exc_info]
    assert failures == ["admit failed.", "on_connect failed.", "admit failed.", *[NOT_JSON] * 2]


class Megaphone(Namespace):
    """Emits to everybody in every possible way."""

    async def on_connect(self, sid: str, environ: Mapping[str, Any], auth: Any) -> None:
        await self.emit("greeting", "x" * 50_000, to=sid)
        await self.enter_room(sid, "den")

    async def on_shout(self, sid: str, text: str) -> None:
        await self.emit("shouted", text)

    def on_shout_later(self, sid: str, text: str) -> None:
        self.server.start_background_task(self.emit, "shouted", text, room="den")

    async def on_ask_room(self, sid: str, room: str | None) -> str:
        self.check_room(room)
        return "fine"

    def on_store(self, sid: str, size: int) -> str:
        self.spend(size)
        return "stored"

    def on_type(self, sid: str, text: str) -> None:
        self.emit_latest("typed", text, room="den", skip_sid=sid)

    def on_big(self, sid: str, size: int) -> str:
        return "x" * size


LOUD = "x" * 40_000


@pytest.mark.parametrize("event", ["shout", "shout-later", "big"])
async def test_costs_are_charged(event: str, transport: str, tmp_path: Path) -> None:
    """A visitor who has used too much has to wait, in all tabs; others, and connects, need not."""
    async with (
        serving(tmp_path, Megaphone, transport=transport, fanout_bytes_per_second=10_000) as host,
        clients() as people,
    ):
        ann = await people.connect(url(host), token("Ann"))
        tab = await people.connect(url(host), token("Ann"))
        bob = await people.connect(url(host), token("Bob"))
        value = 41_000 if event == "big" else LOUD
        answers = [await ann.call(event, value) for _ in range(3)]
        assert "error" not in str(answers[0])[:20]
        assert answers[-1].keys() == {"error", "retry"}
        assert "too much" in (await tab.call("store", 1))["error"]
        assert await bob.call("store", 1) == "stored"
        assert host.namespaces[0].refused["rate"] >= 2


async def test_debt_is_paid(transport: str, tmp_path: Path) -> None:
    """After waiting, a visitor may continue."""
    async with (
        serving(tmp_path, Megaphone, transport=transport, fanout_bytes_per_second=1_000) as host,
        clients() as people,
    ):
        ann = await people.connect(url(host), token("Ann"))
        assert await ann.call("store", 4_100) == "stored"
        async with asyncio.timeout(PATIENCE):
            while await ann.call("store", 1) != "stored":  # noqa: ASYNC110 - time is the point
                await asyncio.sleep(0.01)
        assert host.namespaces[0].refused["rate"] >= 1


async def test_busy_room(transport: str, tmp_path: Path) -> None:
    """`check_room` checks each room, and the whole namespace, separately."""
    async with (
        serving(tmp_path, Megaphone, transport=transport, room_bytes_per_second=2_000) as host,
        clients() as people,
    ):
        ann = await people.connect(url(host), token("Ann"))
        bob = await people.connect(url(host), token("Bob"))
        assert await bob.call("ask-room", "den") == "fine"
        await ann.call("shout-later", LOUD)
        await bob.receive("shouted")
        assert (await bob.call("ask-room", "den")).keys() == {"error", "retry"}
        assert await bob.call("ask-room", None) == "fine"
        assert await bob.call("ask-room", "hall") == "fine"
        await ann.call("shout", LOUD)
        assert "error" in await bob.call("ask-room", None)
        assert host.namespaces[0].refused["room busy"] == 2


async def test_latest_is_sent(transport: str, tmp_path: Path) -> None:
    """`emit_latest` sends the first and the last value."""
    async with serving(tmp_path, Megaphone, transport=transport) as host, clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        bob = await people.connect(url(host), token("Bob"))
        for number in range(50):
            await ann.emit("type", str(number))
        received = [await bob.receive("typed")]
        while received[-1] != "49":
            received.append(await bob.receive("typed"))
        assert received[0] == "0"
        assert len(received) < 20
        assert ann.inbox.unread("typed") == []
