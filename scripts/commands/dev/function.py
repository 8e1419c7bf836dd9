"""The stateless half, as Lambda would run it: one environment at a time, renewed at every save."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from scripts.commands.dev.environment import Environment, FunctionError, Invocation
from scripts.commands.dev.http_api import MAX_PAYLOAD
from scripts.commands.dev.template import FunctionSettings

MAX_WAITING = 1_000  # requests that wait for their turn; Lambda too refuses what exceeds its limit


class Function:
    """Runs the handler for requests, in the order they come.

    An environment that crashed is replaced when the next request needs one. One that cannot start
    is not tried again before the next save: its error answers every request until then.
    """

    def __init__(
        self, settings: FunctionSettings, environ: Mapping[str, str], *, plain: bool = False
    ) -> None:
        self.settings = settings
        self._environ = environ
        self._options = ["--plain"] if plain else []
        self._invocations: asyncio.Queue[Invocation] = asyncio.Queue()
        self._environment: Environment | None = None
        self._environments: set[asyncio.Task[None]] = set()
        self._broken: FunctionError | None = None

    def start(self) -> None:
        """Start an environment, and let the one there was finish what it has begun."""
        if self._environment:
            self._environment.retire()
        self._broken = None
        self._environment = Environment(self._invocations)
        task = asyncio.create_task(self._live(self._environment))
        self._environments.add(task)
        task.add_done_callback(self._environments.discard)

    async def settled(self) -> None:
        """Wait until the environment is ready or has failed to become so."""
        if self._environment:
            await self._environment.settled.wait()

    async def invoke(self, event: Any) -> Any:
        """Return the handler's result for an event, or raise FunctionError."""
        if self._broken:
            raise self._broken.with_traceback(None)  # or it grows at each raise
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
        if self._environment is None:
            self.start()
        return await invocation.result

    async def stop(self) -> None:
        """End every environment at once."""
        self._environment = None
        for task in self._environments:
            task.cancel()
        await asyncio.gather(*self._environments, return_exceptions=True)

    async def _live(self, environment: Environment) -> None:
        settings = self.settings
        error = await environment.run(
            ["scripts.commands.dev.runtime", settings.handler, *self._options],
            {
                **self._environ,
                "AWS_LAMBDA_FUNCTION_NAME": "sidepath",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(settings.memory),
            },
        )
        if environment is not self._environment:
            return  # a save has replaced it
        self._environment = None
        self._broken = error if error.broken else None
        if not environment.ready:
            self._fail_waiting(error)
        elif not self._invocations.empty():
            self.start()

    def _fail_waiting(self, error: FunctionError) -> None:
        while not self._invocations.empty():
            self._invocations.get_nowait().fail(error)
