"""Functions' announcements reach the namespaces of every host, over each kind of bus."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from functions.contract.setting import StartError
from functions.web.emit import EmitError, Emitter
from functions.web.emitters import open_emitter
from socket_host.app import SocketHost
from socket_host.namespace import Namespace, subscribe
from tests.kit import buses
from tests.kit.buses import redis
from tests.kit.clients import clients
from tests.kit.hosts import SECRET, serving, token, url
from tests.kit.waiting import until


@dataclass
class Price:
    """The body of an announcement."""

    item: str
    amount: int


class Market(Namespace):
    """Hears prices."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.heard: list[Price] = []

    @subscribe("prices")
    async def price_changed(self, price: Price) -> None:
        if price.amount < 0:
            raise RuntimeError("a bug")
        self.heard.append(price)
        # Every host gets it, so each emits to its own clients.
        await self.emit("price", price.amount, room=price.item, ignore_queue=True)

    async def on_watch(self, sid: str, item: str) -> None:
        await self.enter_room(sid, item)


@pytest.fixture(scope="module")
def aws() -> Iterator[None]:
    with buses.aws():
        yield


Hosts = tuple[list[SocketHost], Emitter]


@asynccontextmanager
async def market(kind: str, folder: Path) -> AsyncIterator[Hosts]:
    """Hosts on a bus, and an emitter for it."""
    async with AsyncExitStack() as stack:
        setting = "local"
        if kind == "redis":
            setting = (await stack.enter_async_context(redis(folder))).setting
        elif kind == "sns":
            setting = buses.topic()
        hosts = [
            await stack.enter_async_context(serving(folder, Market, bus=setting))
            for _ in range(1 if kind == "loopback" else 2)
        ]
        address = f"{url(hosts[0])}/bus" if kind == "loopback" else setting
        yield hosts, stack.enter_context(closing(open_emitter(address, SECRET)))


@pytest.mark.parametrize("kind", ["loopback", "redis", "sns"])
async def test_function_reaches_every_host(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """Events, announcements and disconnects arrive in order, each with an id."""
    if kind == "sns":
        request.getfixturevalue("aws")
    caplog.set_level("INFO")
    async with market(kind, tmp_path) as (hosts, emitter), clients() as people:
        people_here = [await people.connect(url(host), token("Ann")) for host in hosts]
        for client in people_here:
            await client.call("watch", "tea")

        def speak() -> list[str]:
            return [
                *(emitter.announce("prices", {"item": "tea", "amount": n}) for n in range(5)),
                emitter.announce("prices", {"item": "tea"}),
                emitter.announce("prices", {"item": "tea", "amount": -1}),
                emitter.announce("no subscriber"),
                emitter.emit("price", 5, room="tea"),
                emitter.disconnect("ann"),
            ]

        ids = await asyncio.to_thread(speak)
        assert len(set(ids)) == len(ids)
        for client in people_here:
            prices = [await client.receive("price") for _ in range(6)]
            assert sorted(prices) == list(range(6))
            await client.receive("disconnect")
        for host in hosts:
            await until(lambda host=host: not host.visitors.clients)
            assert host.namespaces[0].heard == [Price("tea", n) for n in range(5)]
            assert host.bus.health().get("invalid", 0) == 0
        wrong = (
            "An announcement of 'prices' has the wrong type: `amount` is missing.",
            "The subscriber to 'prices' failed.",
        )
        for words in wrong:
            await until(lambda words=words: count(caplog, words) == len(hosts))
    for id_ in ids:
        assert count(caplog, f"from a function: {id_}") == len(hosts)


def count(caplog: pytest.LogCaptureFixture, words: str) -> int:
    """How many lines of the log contain a text."""
    return sum(words in record.getMessage() for record in caplog.records)


async def test_redis_that_was_away(tmp_path: Path) -> None:
    """A function gets an error while Redis is down, and reconnects afterwards."""
    async with redis(tmp_path) as server:
        emitter = open_emitter(server.setting, SECRET)
        await asyncio.to_thread(emitter.emit, "news")
        await server.stop()
        with pytest.raises(EmitError, match="'news' was not emitted: Redis"):
            await asyncio.to_thread(emitter.emit, "news")
        await server.start()
        await asyncio.to_thread(emitter.emit, "news")
        emitter.close()


async def test_redis_with_a_password(tmp_path: Path) -> None:
    """A wrong password is an error; the correct one is used."""
    async with redis(tmp_path, "--requirepass", "secret") as server:
        right, wrong = (
            server.setting.replace("//", f"//:{password}@") for password in ("secret", "guess")
        )
        with closing(open_emitter(right, SECRET)) as emitter:
            await asyncio.to_thread(emitter.emit, "news")
        with pytest.raises(EmitError, match="refused the message") as refused:
            await asyncio.to_thread(open_emitter(wrong, SECRET).emit, "news")
        assert "guess" not in str(refused.value)


def test_subjects_of_the_framework_are_not_yours(tmp_path: Path) -> None:
    """A function's announcement cannot use the hosts' own subjects."""
    said: list[str] = []

    class Recording(Emitter):
        def _publish(self, message: str, sender: str) -> None:
            said.append(message)

    Recording().announce("peers", {"word": "bye"})
    assert '"subject":"app.peers"' in said[0]


def plain(self: Any, body: Any) -> None: ...


async def no_body(self: Any) -> None: ...


async def any_body(self: Any, body: Any) -> None: ...


async def not_json(self: Any, body: Path) -> None: ...


@pytest.mark.parametrize(
    ("mark", "method", "words"),
    [
        (subscribe("prices"), plain, "must be async, and take the body"),
        (subscribe("prices"), no_body, "must be async, and take the body"),
        (subscribe, any_body, "needs the subject"),
        (subscribe(5), any_body, "needs the subject"),  # type: ignore[arg-type]
        (subscribe("prices"), not_json, "cannot be used"),
    ],
)
async def test_subscribers_are_checked(mark: Any, method: Any, words: str, tmp_path: Path) -> None:
    """A method that cannot be a subscriber stops the host at the start."""
    fresh = FunctionType(method.__code__, globals())  # not marked before
    fresh.__annotations__ = method.__annotations__
    kind = type("Odd", (Namespace,), {"hear": mark(fresh)})
    with pytest.raises(StartError, match=f"Odd.hear.* {words}"):
        async with serving(tmp_path, kind):
            pass
