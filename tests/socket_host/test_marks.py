"""Decorators have an effect wherever they are written, or the host refuses to start."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from functions.contract.setting import StartError
from socket_host.app import create_app
from socket_host.namespace import Namespace, event, every, large_answer, subscribe
from tests.kit.clients import clients
from tests.kit.hosts import serving, settings, token, url
from tests.kit.waiting import until

CALLED: list[str] = []


class Above(Namespace):
    """Decorators above static methods, class methods and others."""

    @event("add")
    @staticmethod
    async def add(sid: str, one: int, two: int) -> int:
        return one + two

    @event("who", claim="role=editor")  # type: ignore[arg-type]  # not a function to mypy
    @classmethod
    async def who(cls, sid: str) -> str:
        return cls.__name__

    @event(claim="role=editor")
    def on_erase(self, sid: str) -> str:
        return "erased"

    @event("off")
    def off(self, sid: str) -> str:
        return "on"

    @every(60)
    @staticmethod
    async def static() -> None:
        CALLED.append("static")

    @every(60, once=True)  # type: ignore[type-var]  # as above
    @classmethod
    async def of_class(cls, number: int) -> None:
        CALLED.append(cls.__name__)

    @every(60)
    async def replaced(self) -> None:
        CALLED.append("replaced")

    @every(60)
    async def stopped(self) -> None:
        CALLED.append("stopped")

    @subscribe("prices")
    @staticmethod
    async def hear(body: int) -> None:
        CALLED.append(f"price {body}")


class Below(Above):
    """Inherits methods, and overrides others without repeating their decorators."""

    def on_erase(self, sid: str) -> str:
        return "erased at once"

    off = None  # type: ignore[assignment]

    async def replaced(self) -> None:
        CALLED.append("replacement")

    stopped = None  # type: ignore[assignment]


async def test_marks_have_an_effect(tmp_path: Path) -> None:
    """Jobs, subscriptions and handlers are found, and overrides keep their marks."""
    CALLED.clear()
    async with serving(tmp_path, Below) as host, clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        editor = await people.connect(url(host), token("Ed", claims={"role": "editor"}))
        assert await ann.call("add", 1, 2) == 3
        assert await editor.call("who") == "Below"
        assert await editor.call("erase") == "erased at once"
        for name in ("who", "erase"):
            assert await ann.call(name) == {"error": "You may not do this."}
        assert "There is no handler" in (await ann.call("off"))["error"]
        host.bus.announce_to_all("app.prices", 5)
        await until(lambda: {"static", "Below", "replacement", "price 5"} <= {*CALLED})
        assert sorted(CALLED) == ["Below", "price 5", "replacement", "static"]


async def hook(self: Any, sid: str, environ: Any, auth: Any) -> None: ...


def odd(**methods: Any) -> type[Namespace]:
    """Return a namespace with these methods."""
    return type("Odd", (Namespace,), methods)


async def job(self: Any) -> None: ...


async def handler(self: Any, sid: str) -> None: ...


def fresh(function: Any) -> Any:
    """Return a copy of a function without marks."""
    return type(function)(function.__code__, globals(), function.__name__)


def done(*decorators: Any, to: Any) -> Any:
    """Apply decorators to a function, the last one first."""
    made = fresh(to)
    for decorator in reversed(decorators):
        made = decorator(made)
    return made


MISUSES = {
    "Odd.x has @every, but is not a method": {"x": done(every(1), property, to=job)},
    "Odd.y has @every, but is not a method": {"y": done(property, every(1), to=job)},
    "Odd.x has @event, but is not a method": {"x": done(event("x"), property, to=handler)},
    "Odd.x has @subscribe, but is not a method": {"x": done(property, subscribe("x"), to=job)},
    "Odd.x cannot have both @event and @every": {
        "x": done(every(1, once=True), event("x"), to=handler)
    },
    "Odd.x cannot have both @event and @subscribe": {
        "x": done(event("x"), subscribe("x"), to=handler)
    },
    "Odd.x cannot have both @every and @subscribe": {
        "x": done(every(1, once=True), subscribe("x"), to=handler)
    },
    "Odd.x has @event twice": {"x": done(event("x"), event("y"), to=handler)},
    "Odd.x has @every twice": {"x": done(every(1), every(2), to=job)},
    "Odd.on_x cannot have @every: its name makes it the handler": {
        "on_x": done(every(1, once=True), to=handler)
    },
    "Odd.on_x cannot have @subscribe: its name": {"on_x": done(subscribe("x"), to=handler)},
    "Odd.x has @large_answer, but handles no event": {"x": done(large_answer, to=handler)},
    "Odd.on_connect has @event, but is a method of Namespace": {
        "on_connect": done(event(limit="1/s"), to=hook)
    },
    "Odd.settle has @every, but is a method of Namespace": {"settle": done(every(1), to=job)},
    "Odd.x: @every takes a number of seconds": {"x": done(every, classmethod, to=job)},
    "Odd.x needs the name of its event": {"x": done(event, staticmethod, to=handler)},
    "Odd.x must be async, and take nothing": {"x": done(every(1), staticmethod, to=handler)},
}


@pytest.mark.parametrize("words", MISUSES)
def test_mark_without_effect(words: str, tmp_path: Path) -> None:
    """The host does not start if a mark would have no effect or contradicts another."""
    with pytest.raises(StartError, match=f"^{words}"):
        create_app(settings(tmp_path), [odd(**MISUSES[words])])


@pytest.mark.parametrize("decorator", [every(1), event("x"), subscribe("x"), large_answer])
def test_function_outside_a_namespace(
    decorator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A marked function outside of a class is refused, unless a class uses it as a method."""
    module = ModuleType("chat")
    monkeypatch.setitem(sys.modules, "chat", module)
    module.job = function = done(decorator, to=job)  # type: ignore[attr-defined]
    function.__module__ = "chat"
    chat = odd()
    chat.__module__ = "chat"
    with pytest.raises(StartError, match=r"^chat\.job has @\w+, which has an effect only on a"):
        create_app(settings(tmp_path), [chat])
    module.job = done(every(1), to=job)  # type: ignore[attr-defined]
    module.job.__module__ = "chat"
    chat.job = module.job  # type: ignore[attr-defined]
    create_app(settings(tmp_path), [chat])
