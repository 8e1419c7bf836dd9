"""The lifespan of a namespace: what it opens and closes, and its background tasks."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, TypeVar

from functions.contract.setting import StartError
from socket_host import threads
from socket_host.announcements import subscriptions
from socket_host.emission import EmittingNamespace
from socket_host.lease import Lease
from socket_host.marks import Mark, add_mark, is_method, marked
from socket_host.settings import Settings
from socket_host.supervisor import Supervisor

_log = logging.getLogger(__name__)

_CLOSE_SECONDS = 20.0  # for what stands after the `yield` of a lifespan

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Coroutine[Any, Any, object]])


@dataclass(frozen=True)
class _Job(Mark):
    """The arguments that `every` was called with."""

    decorator = "@every"
    seconds: float
    once: bool

    def check(self, method: Callable[..., Any], where: str) -> None:
        """Raise StartError if the method cannot be called as a job."""
        seconds = self.seconds
        if type(seconds) not in (int, float) or not 0 < seconds < float("inf"):
            raise StartError(f"{where}: @every takes a number of seconds above 0, not {seconds!r}.")
        if not _is_async(method) or _arguments(method) > int(self.once):
            takes = "at most the number of the lease" if self.once else "nothing"
            raise StartError(f"{where} must be async, and take {takes}.")


def every(seconds: float, *, once: bool = False) -> Callable[[F], F]:
    """Call an async method repeatedly, from the start of the namespace to its end.

    It is called at once, and then every `seconds` seconds, but never twice at the same time. Every
    host calls it; with `once`, only one host does, and if that host dies, another takes over within
    seconds. A `once` method may take the number of the host's lease. It increases with every new
    holder, so a store can reject writes of a host that was suspended and has lost the lease.

    A misuse is a StartError when the host starts.
    """
    if is_method(seconds):  # `@every` without parentheses
        return every(0)(seconds)

    return lambda method: add_mark(method, _Job(seconds, once))


class LifespanNamespace(EmittingNamespace):
    """A namespace with setup, teardown and background tasks."""

    lease: Lease  # held by the one host that runs the `once` methods

    def __init__(self, settings: Settings, namespace: str) -> None:
        super().__init__(settings, namespace)
        self._supervisor = Supervisor()
        for name, job in marked(type(self), _Job):
            job.check(getattr(self, name), f"{type(self).__name__}.{name}")

    @property
    def needs_lease(self) -> bool:
        """Whether it has `once` methods."""
        return any(job.once for _, job in marked(type(self), _Job))

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Open what the handlers need, `yield`, and close it.

        The part before the `yield` runs once the host has its port, before the first client; a
        StartError stops the host with its message. The part after it has 20 seconds, and runs when
        no client, event or task is left, and none of their calls of `asyncio.to_thread` runs.
        """
        yield

    def supervise(
        self, work: Callable[P, Coroutine[Any, Any, object]], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Start a background task, which ends with the namespace and is restarted if it fails.

        Call it in `lifespan`. A failure is logged with the name of `work`, and shown in /health.
        Raises StartError if `work` is not an async function, or if a task with its name runs.
        """
        name = getattr(work, "__name__", type(work).__name__)
        called: Any = work
        if inspect.iscoroutine(called):
            called.close()
            raise StartError(f"supervise() calls {name} itself: self.supervise(self.{name}).")
        if not callable(work) or (inspect.isroutine(work) and not _is_async(work)):
            raise StartError(f"supervise() takes an async function, which {name} is not.")
        self._supervisor.start(partial(work, *args, **kwargs), name)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the lifespan and the tasks; the host enters this when it starts."""
        lifespan = self.lifespan()
        if not _yields(lifespan):
            raise StartError(
                f"{type(self).__name__}.lifespan must be an `async def` with one `yield`, below "
                "@asynccontextmanager."
            )
        try:
            await lifespan.__aenter__()
        except BaseException:
            await self._supervisor.stop()
            raise
        try:
            for name, subscription in subscriptions(self, self.bus):
                self._supervisor.start(subscription.run, name)
            for name, job in marked(type(self), _Job):
                self._supervisor.start(partial(self._repeat, job, getattr(self, name)), name)
            yield
        finally:
            await self._supervisor.stop()
            await threads.finished()
            # Even if another namespace could not start, so that the part after the `yield` runs.
            await self._close(lifespan)

    async def _close(self, lifespan: AbstractAsyncContextManager[None]) -> None:
        """Leave the lifespan; cancel it if it takes too long, because the other namespaces wait."""
        try:
            # Not `wait_for`, which would leave it in another task than the one that entered it.
            async with asyncio.timeout(_CLOSE_SECONDS) as limit:
                await lifespan.__aexit__(None, None, None)
        except TimeoutError:
            if not limit.expired():
                raise
            _log.error(
                "%s.lifespan was cancelled: its part after the `yield` took more than %g s.",
                type(self).__name__,
                _CLOSE_SECONDS,
            )

    def tasks(self) -> dict[str, dict[str, Any]]:
        """Return the status of its tasks, by name."""
        return self._supervisor.health()

    async def _repeat(self, job: _Job, method: Callable[..., Coroutine[Any, Any, object]]) -> None:
        if not job.once:
            await _repeat(job.seconds, method)
        while True:
            number = await self.lease.held()
            await self.lease.hold(partial(self._repeat_held, job, method), number)

    async def _repeat_held(
        self, job: _Job, method: Callable[..., Coroutine[Any, Any, object]], number: int
    ) -> None:
        async def turn() -> None:
            if self.lease.number == number:
                await (method(number) if _arguments(method) else method())

        await _repeat(job.seconds, turn)


async def _repeat(seconds: float, method: Callable[[], Coroutine[Any, Any, object]]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + seconds
        await method()
        await asyncio.sleep(max(0.0, due - loop.time()))


def _yields(lifespan: Any) -> bool:
    """Whether this is a context manager; without a `yield` in its function, it is not."""
    made = getattr(lifespan, "gen", lifespan)  # what @asynccontextmanager wraps
    if inspect.iscoroutine(made):
        made.close()
        return False
    return hasattr(lifespan, "__aenter__")


def _is_async(work: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(inspect.unwrap(work))


def _arguments(method: Callable[..., Any]) -> int:
    return len(inspect.signature(method).parameters)
