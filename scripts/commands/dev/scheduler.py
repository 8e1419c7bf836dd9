"""The functions other than the edge's, which schedules and routes of the API call."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

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
    """Runs the functions of a template that something other than the edge calls.

    Each is started when it is first needed. `edge` is run too, if a schedule calls it.
    """

    def __init__(self, functions: Functions, edge: Function | None, make: Make) -> None:
        self._functions = functions
        self._edge = edge
        self._make = make
        self._made: dict[str, Function] = {}
        self._runs: set[asyncio.Task[None]] = set()

    @property
    def functions(self) -> Functions:
        """The template's functions; replacing them counts as a save."""
        return self._functions

    @functions.setter
    def functions(self, functions: Functions) -> None:
        self._functions = functions
        self.renew()

    def renew(self) -> None:
        """Make each run the current files from its next event on."""
        for name, function in list(self._made.items()):
            if settings := self._functions.others.get(name):
                function.settings = settings
            function.renew()

    def function(self, name: str) -> Function:
        """Return a function by name, creating it when it is first needed."""
        if self._edge and name == self._functions.edge.name:
            return self._edge
        if name not in self._made:
            self._made[name] = self._make(self._functions.others[name])
        return self._made[name]

    async def invoke(self, name: str, event: Any) -> Any:
        """Return the result of a function by name for an event, or raise FunctionError."""
        return await self.function(name).invoke(event)

    def routed(self, request: OriginRequest) -> "Routed | None":
        """Return the function with its own route for a request, if there is one."""
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
        """Start the functions that are due at each minute; skip minutes while the machine slept."""
        started = minute = _floor(clock())
        while True:
            await sleep((minute + _MINUTE - clock()).total_seconds())
            if (now := _floor(clock())) <= minute:
                continue  # woken too soon
            minute = now
            for name, timer in self._due(minute, started):
                say(f"{timer.name} is due: {name} runs.")
                run = background.begin(f"Running {name}", self._call(name, timer, minute))
                self._runs.add(run)
                run.add_done_callback(self._runs.discard)

    async def stop(self) -> None:
        """Stop all functions."""
        for run in self._runs:
            run.cancel()
        await asyncio.gather(*self._runs, return_exceptions=True)
        await asyncio.gather(*(function.stop() for function in self._made.values()))

    def _due(self, minute: datetime, started: datetime) -> Iterator[tuple[str, Timer]]:
        edge = self._functions.edge
        called: Mapping[str, FunctionSettings] = self._functions.others
        if self._edge:
            called = {**called, edge.name: edge}
        for name, settings in called.items():
            for timer in settings.timers:
                if timer.schedule.includes(minute, started):
                    yield name, timer

    async def _call(self, name: str, timer: Timer, minute: datetime) -> None:
        try:
            await self.invoke(name, event.of_schedule(timer, minute))
        except FunctionError as error:
            say(f"{name} failed: {error.sentence}")  # its own output has the traceback


def _floor(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
