"""The functions beside the edge's: each is run when a schedule or a route of the API calls it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from scripts.commands.dev import background, event
from scripts.commands.dev.api_route import ApiRoute, choose
from scripts.commands.dev.function import Function
from scripts.commands.dev.functions import Functions, FunctionSettings, Timer
from scripts.commands.dev.invocation import FunctionError
from scripts.commands.dev.origin_request import OriginRequest
from scripts.terminal import say


@dataclass(frozen=True)
class Routed:
    """A function that has a route of the API for itself, and the variables in the path."""

    function: Function
    route: ApiRoute
    variables: Mapping[str, str]


Make = Callable[[FunctionSettings], Function]

_MINUTE = timedelta(minutes=1)


class Scheduler:
    """Keeps the functions of a template that something else than the edge calls.

    None is started before its time. `edge` is run too, if a schedule calls it.
    """

    def __init__(self, functions: Functions, edge: Function | None, make: Make) -> None:
        self._functions = functions
        self._edge = edge
        self._make = make
        self._made: dict[str, Function] = {}
        self._runs: set[asyncio.Task[None]] = set()

    @property
    def functions(self) -> Functions:
        """What the template says; it may be replaced, which is as good as a save."""
        return self._functions

    @functions.setter
    def functions(self, functions: Functions) -> None:
        self._functions = functions
        self.renew()

    def renew(self) -> None:
        """Have each run what is saved now, from its next event on."""
        for name, function in list(self._made.items()):
            if settings := self._functions.others.get(name):
                function.settings = settings
            function.renew()

    def function(self, name: str) -> Function:
        """Return the function of a name, which is made when it is first needed."""
        if self._edge and name == self._functions.edge.name:
            return self._edge
        if name not in self._made:
            self._made[name] = self._make(self._functions.others[name])
        return self._made[name]

    def routed(self, request: OriginRequest) -> "Routed | None":
        """Return what answers a request in place of the edge's function, if anything does."""
        route = choose(self._functions.routes, request.method, request.path)
        if route is None:
            return None
        variables = route.match(request.method, request.path) or {}
        return Routed(self.function(route.function), route, variables)

    async def run(
        self,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Begin at each full minute what is due then; a time that was slept through is left out."""
        begun = minute = _floor(clock())
        while True:
            await sleep((minute + _MINUTE - clock()).total_seconds())
            if (now := _floor(clock())) <= minute:
                continue  # woken too soon
            minute = now
            for name, timer in self._due(minute, begun):
                say(f"{timer.name} is due: {name} runs.")
                run = background.begin(f"Running {name}", self._call(name, timer, minute))
                self._runs.add(run)
                run.add_done_callback(self._runs.discard)

    async def stop(self) -> None:
        """End what runs."""
        for run in self._runs:
            run.cancel()
        await asyncio.gather(*self._runs, return_exceptions=True)
        await asyncio.gather(*(function.stop() for function in self._made.values()))

    def _due(self, minute: datetime, begun: datetime) -> Iterator[tuple[str, Timer]]:
        edge = self._functions.edge
        called: Mapping[str, FunctionSettings] = self._functions.others
        if self._edge:
            called = {**called, edge.name: edge}
        for name, settings in called.items():
            for timer in settings.timers:
                if timer.schedule.includes(minute, begun):
                    yield name, timer

    async def _call(self, name: str, timer: Timer, minute: datetime) -> None:
        try:
            await self.function(name).invoke(event.of_schedule(timer, minute))
        except FunctionError as error:
            say(f"{name} has failed: {error.sentence}")  # its own output has the traceback


def _floor(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
