"""The lifespan of a namespace: setup, teardown, and supervised tasks."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import FunctionType
from typing import Any

import aiohttp
import pytest

from functions.contract.setting import StartError
from socket_host import lifespan, supervisor
from socket_host.app import SocketHost, create_app
from socket_host.lifespan import every
from socket_host.namespace import Namespace
from tests.kit.clients import clients
from tests.kit.hosts import PATIENCE, on_each_transport, serving, settings, token, url
from tests.kit.waiting import until


async def health(host: SocketHost) -> Any:
    """Return the JSON of /health."""
    async with aiohttp.ClientSession() as http, http.get(f"{url(host)}/health") as answer:
        return await answer.json()


class Clock(Namespace):
    """Has a lifespan, a task and a job."""

    namespace = "/clock"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.life: list[str] = []
        self.ticks = 0
        self.runs = 0
        self.fails = asyncio.Event()
        self.error: BaseException = RuntimeError("no such price")

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        self.life.append("open")
        self.supervise(self.watch, "a", word="b")
        yield
        self.life.append("closed")

    async def watch(self, letter: str, *, word: str) -> None:
        self.runs += 1
        self.life.append(f"watch {letter}{word}")
        try:
            await self.fails.wait()
            self.fails.clear()
            raise self.error
        finally:
            self.life.append("watch ends")

    @every(0.01)
    async def tick(self) -> None:
        self.ticks += 1
        await self.emit("tick", self.ticks)


class Silent(Namespace):
    """An empty namespace."""


async def test_lifespan_surrounds_all(tmp_path: Path) -> None:
    """Teardown runs after the last event and the end of all tasks."""
    async with serving(tmp_path, Clock) as host:
        clock: Any = host.namespaces[0]
        await until(lambda: len(clock.life) == 2)
        assert clock.life == ["open", "watch ab"]
    assert clock.life == ["open", "watch ab", "watch ends", "closed"]


class Reader(Namespace):
    """Reads in a thread, which cannot be cancelled."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.life: list[str] = []
        self.read = threading.Event()

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        yield
        self.life.append("closed")

    @every(60)
    async def reads(self) -> None:
        try:
            await asyncio.to_thread(self.blocks)
        finally:
            self.life.append("cancelled")

    def blocks(self) -> None:
        self.life.append("reads")
        self.read.wait(PATIENCE)
        self.life.append("has read")


async def test_threads_end_before_the_lifespan(tmp_path: Path) -> None:
    """What a job does in a thread has ended when the namespace closes what it has opened."""
    async with AsyncExitStack() as running:
        host = await running.enter_async_context(serving(tmp_path, Reader))
        reader: Any = host.namespaces[0]
        await until(lambda: reader.life == ["reads"])
        stopping = asyncio.create_task(running.pop_all().aclose())
        await until(lambda: "cancelled" in reader.life)
        reader.read.set()
        await stopping
    assert reader.life == ["reads", "cancelled", "has read", "closed"]


@on_each_transport
async def test_every(transport: str, tmp_path: Path) -> None:
    """A job runs repeatedly on a single host, and its emits reach clients."""
    async with serving(tmp_path, Clock, transport=transport) as host, clients() as people:
        ann = await people.begin(url(host), token("Ann"), namespaces=["/clock"])
        ticks: asyncio.Queue[int] = asyncio.Queue()
        ann.sio.on("tick", lambda tick, *_: ticks.put_nowait(tick), namespace="/clock")
        async with asyncio.timeout(PATIENCE):
            first = await ticks.get()
            assert await ticks.get() == first + 1
    assert host.namespaces[0].tasks() == {}


@pytest.mark.parametrize("error", [RuntimeError("no such price"), asyncio.CancelledError()])
async def test_task_that_fails(
    error: BaseException,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A task that fails is logged with its name, shown in /health, and restarted."""
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.2)
    async with serving(tmp_path, Clock, Silent) as host:
        clock: Any = host.namespaces[0]
        clock.error = error
        running = {"status": "running", "deaths": 0}
        await until(lambda: clock.runs == 1)
        found = await health(host)
        assert found["status"] == "ok"
        assert found["namespaces"]["/clock"]["tasks"] == {"watch": running, "tick": running}
        assert found["namespaces"]["/"] == {"clients": 0, "refused": {}}
        clock.fails.set()
        await until(lambda: clock.runs == 2)
        assert (await health(host))["namespaces"]["/clock"]["tasks"]["watch"]["deaths"] == 1
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.getMessage() == "The task watch failed. It restarts in 0.2 s."


async def test_job_that_fails_is_degraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a task waits for its restart the host is degraded, but serves clients."""

    class Broken(Namespace):
        @every(1)
        async def fail(self) -> None:
            raise RuntimeError

    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 60.0)
    async with serving(tmp_path, Broken) as host, clients() as people:
        await until(lambda: host.namespaces[0].tasks()["fail"]["status"] == "waiting")
        assert (await health(host))["status"] == "degraded"
        ann = await people.connect(url(host), token("Ann"))
        assert "error" in await ann.call("nothing")


async def test_start_that_fails(tmp_path: Path) -> None:
    """An error in a lifespan stops the host; lifespans that were entered are closed."""

    class Broken(Namespace):
        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            raise StartError("There is no clock here.")
            yield

    host = create_app(settings(tmp_path), [Clock, Broken])
    with pytest.raises(StartError, match="no clock"):
        await host.start()
    clock: Any = host.namespaces[0]
    assert clock.life[0] == "open"
    assert clock.life[-1] == "closed"


def again(method: Any) -> Any:
    """A function like another, which is not marked."""
    return FunctionType(method.__code__, globals(), method.__name__)


async def test_start_that_is_cancelled(tmp_path: Path) -> None:
    """A lifespan that waits in vain can be ended; what has begun by then ends too."""

    class Waiting(Clock):
        namespace = "/waiting"

        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            self.supervise(self.watch, "a", word="b")
            await asyncio.Event().wait()
            yield

    host = create_app(settings(tmp_path), [Clock, Waiting])
    starting = asyncio.create_task(host.start())
    lives: Any = [namespace.life for namespace in host.namespaces]  # type: ignore[attr-defined]
    await until(lambda: lives[1])
    starting.cancel()
    await asyncio.wait([starting])
    assert starting.cancelled()
    assert lives[0][-1] == "closed"
    assert lives[1] == ["watch ab", "watch ends"]


async def test_end_that_does_not_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A task that ignores its end, and a lifespan that hangs in its own, hold up nothing else."""
    monkeypatch.setattr(supervisor, "_STOP_SECONDS", 0.1)
    monkeypatch.setattr(lifespan, "_CLOSE_SECONDS", 0.1)
    over = asyncio.Event()

    class Stubborn(Namespace):
        namespace = "/stubborn"

        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            self.supervise(self.ignore)
            async with asyncio.TaskGroup():
                yield
                await asyncio.Event().wait()

        async def ignore(self) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await over.wait()

    async with serving(tmp_path, Clock, Stubborn) as host:
        clock: Any = host.namespaces[0]
        await until(lambda: clock.life)
        async with asyncio.timeout(PATIENCE):
            await host.stop()
    assert clock.life[-1] == "closed"
    assert [record.getMessage() for record in caplog.records] == [
        "The task ignore does not end, although it is cancelled.",
        "Stubborn.lifespan was cancelled: its part after the `yield` took more than 0.1 s.",
    ]
    over.set()


async def work(self: Any) -> None: ...


async def numbered(self: Any, number: int) -> None: ...


def plain(self: Any) -> None: ...


@pytest.mark.parametrize(
    ("mark", "method", "words"),
    [
        (every(0), work, "@every takes a number of seconds above 0, not 0"),
        (every(float("nan")), work, "seconds above 0, not nan"),
        (every("1"), work, "seconds above 0, not '1'"),  # type: ignore[arg-type]
        (every, work, "seconds above 0"),
        (every(1), plain, "must be async, and take nothing"),
        (every(1), numbered, "must be async, and take nothing"),
    ],
)
def test_misuse_of_every(mark: Any, method: Any, words: str, tmp_path: Path) -> None:
    """An invalid interval, or a method that cannot be called, stops the host at the start."""
    kind = type("Odd", (Namespace,), {"job": mark(again(method))})
    with pytest.raises(StartError, match=f"Odd.job.* {words}"):
        create_app(settings(tmp_path), [kind])


async def no_context(self: Any) -> AsyncIterator[None]:
    yield


async def no_yield(self: Any) -> None: ...


def not_async(self: Any) -> None: ...


@pytest.mark.parametrize(
    "lifespan",
    [
        no_context,
        no_yield,
        asynccontextmanager(no_yield),  # type: ignore[arg-type]
        not_async,
    ],
)
async def test_invalid_lifespan(lifespan: Any, tmp_path: Path) -> None:
    """A lifespan without a `yield`, or without its decorator, stops the host at the start."""
    kind = type("Odd", (Namespace,), {"lifespan": lifespan})
    host = create_app(settings(tmp_path), [kind])
    with pytest.raises(StartError, match=r"Odd.lifespan must be an `async def` with one `yield`"):
        await host.start()


async def test_two_tasks_with_one_name(tmp_path: Path) -> None:
    """A second task with the same name is refused."""
    async with serving(tmp_path, Clock) as host:
        clock: Any = host.namespaces[0]
        with pytest.raises(StartError, match="'watch' is running already"):
            clock.supervise(clock.watch, "a", word="b")
        with pytest.raises(StartError, match=r"calls watch itself: self.supervise\(self.watch\)"):
            clock.supervise(clock.watch("a", word="b"))
        with pytest.raises(StartError, match="takes an async function, which health is not"):
            clock.supervise(clock.health)
