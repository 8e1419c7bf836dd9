"""A function as Lambda would run it, in as many environments as needed, renewed at each save."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from scripts.commands.dev import background
from scripts.commands.dev.environment import Environment
from scripts.commands.dev.functions import FunctionSettings
from scripts.commands.dev.http_api import MAX_PAYLOAD
from scripts.commands.dev.invocation import FunctionError, Invocation

MAX_WAITING = 1_000  # queued requests; Lambda also refuses requests above its limit

# Lambda starts another environment for every request that finds none free. Here one serves them one
# by one, which is faster than a start, unless a request takes this long: it may call its own site.
BUSY_SECONDS = 1.0
MAX_ENVIRONMENTS = 5


class Function:
    """Runs the handler for events, in the order they come.

    A crashed environment is replaced at the next event. If one cannot start, its error answers
    every event until the next save.
    """

    def __init__(
        self,
        settings: FunctionSettings,
        environ: Mapping[str, str],
        *,
        plain: bool = False,
        name: str = "function",
        only_declared: bool = False,
    ) -> None:
        """`environ` is read at each start; `only_declared` leaves out variables that the template
        does not give the function."""
        self.settings = settings
        self._environ = environ
        self._only_declared = only_declared
        self._name = name
        self._options = ["--plain"] if plain else []
        self._invocations: asyncio.Queue[Invocation] = asyncio.Queue()
        self._environments: list[Environment] = []  # that run the current files
        self._tasks: set[asyncio.Task[None]] = set()
        self._broken: FunctionError | None = None

    def start(self) -> None:
        """Start an environment, and let existing ones finish their invocations."""
        self._retire()
        self._add()

    def renew(self) -> None:
        """Let the environments finish their invocations; the next event starts another."""
        self._retire()
        if not self._invocations.empty():
            self._add()

    async def settled(self) -> None:
        """Wait until the environment is ready or has failed."""
        if self._environments:
            await self._environments[0].settled.wait()

    async def invoke(self, event: Any) -> Any:
        """Return the handler's result for an event, or raise FunctionError."""
        if self._broken:
            raise self._broken.with_traceback(None)  # or the traceback grows at each raise
        payload = json.dumps(event).encode()
        if len(payload) > MAX_PAYLOAD:
            raise FunctionError(
                413,
                f"The request takes {len(payload)} bytes as an event; Lambda passes on "
                f"{MAX_PAYLOAD} at the most.",
            )
        if self._invocations.qsize() >= MAX_WAITING:
            raise FunctionError(503, f"{MAX_WAITING} requests wait for the function already.")
        invocation = Invocation(payload, self.settings.timeout)
        self._invocations.put_nowait(invocation)
        if not self._environments:
            self._add()
        relief = background.begin("Starting another function", self._relieve(invocation))
        try:
            return await invocation.result
        finally:
            relief.cancel()

    async def stop(self) -> None:
        """End every environment at once."""
        self._environments.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _retire(self) -> None:
        for environment in self._environments:
            environment.retire()
        self._environments.clear()
        self._broken = None

    def _add(self) -> None:
        environment = Environment(self._invocations, self._name)
        self._environments.append(environment)
        task = background.begin("Running the function", self._live(environment))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relieve(self, waiting: Invocation) -> None:
        """Add an environment while an invocation waits for slow ones."""
        while waiting.taken_at is None:
            await asyncio.sleep(BUSY_SECONDS)
            busy = [each.is_busy_for(BUSY_SECONDS) for each in self._environments]
            if waiting.taken_at is None and all(busy) and 0 < len(busy) < MAX_ENVIRONMENTS:
                self._add()

    async def _live(self, environment: Environment) -> None:
        error = await self._run(environment)
        environment.settled.set()
        if environment not in self._environments:
            return  # a save has replaced it
        self._environments.remove(environment)
        if self._environments:
            return  # others will take it
        self._broken = error if error.broken else None
        if not environment.ready:
            self._fail_waiting(error)
        elif not self._invocations.empty():
            self._add()

    async def _run(self, environment: Environment) -> FunctionError:
        """Return why an environment has ended or could not start."""
        settings = self.settings
        try:
            return await environment.run(
                ["scripts.commands.dev.runtime", settings.handler, *self._options],
                {
                    **self._variables(),
                    "AWS_LAMBDA_FUNCTION_NAME": f"sidepath-{settings.name}",
                    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
                    "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/sidepath-{settings.name}",
                    "AWS_LAMBDA_LOG_STREAM_NAME": "terminal",
                    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(settings.memory),
                },
            )
        except OSError as error:  # the next event retries
            return FunctionError(502, f"The function cannot be started: {error}.")
        except Exception as error:
            background.tell("Running the function", error)
            return FunctionError(502, f"The function cannot be run: {error!r}.")

    def _variables(self) -> dict[str, str]:
        declared = self.settings.environ(self._environ)
        if not self._only_declared:
            return {**declared, **self._environ}
        aws = {name: value for name, value in self._environ.items() if name.startswith("AWS_")}
        if "BUS" in declared:  # the host on this machine requires a token signed with the secret
            aws["SESSION_SECRET"] = self._environ.get("SESSION_SECRET", "")
        return {**aws, **declared}

    def _fail_waiting(self, error: FunctionError) -> None:
        while not self._invocations.empty():
            self._invocations.get_nowait().fail(error)


def make_function(
    settings: FunctionSettings,
    *,
    environ: Mapping[str, str],
    plain: bool = False,
    is_edge: bool = False,
) -> Function:
    """Return a function of the template, with its own environment variables and AWS's.

    The edge's function gets all known settings.
    """
    if is_edge:
        return Function(settings, environ, plain=plain)
    return Function(settings, environ, plain=plain, name=settings.name, only_declared=True)
