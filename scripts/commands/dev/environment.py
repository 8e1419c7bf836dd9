"""An execution environment, as Lambda calls it: one process that runs the function."""

import asyncio
import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from scripts.commands.dev.http_api import MAX_PAYLOAD
from scripts.commands.dev.invocation import FunctionError, Invocation
from scripts.commands.dev.process import Process, ended

INIT_SECONDS = 30.0  # to import the handler; Lambda allows 10, on a less busy machine


class Environment:
    """A process that takes invocations, one at a time, from a queue that others may share.

    The process fetches them over the Runtime API, whose calls are the methods `next`, `respond`,
    `report` and `report_init`.
    """

    def __init__(self, invocations: asyncio.Queue[Invocation], name: str = "function") -> None:
        self.name = name  # of the function, as shown on the terminal
        self.ready = False  # whether it has ever been ready
        self.settled = asyncio.Event()  # it is ready, or has ended before that
        self._invocations = invocations
        self._taking: asyncio.Task[Invocation] | None = None
        self._current: Invocation | None = None
        self._process: Process | None = None
        self._retired = False
        self._deadline: asyncio.TimerHandle | None = None
        self._why: FunctionError | None = None  # why it ends, if the exit status does not say

    async def run(self, module: Sequence[str], environ: Mapping[str, str]) -> FunctionError:
        """Start the process, serve it until it ends, and return why it did."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = "{}:{}".format(*listener.getsockname())
            process = await Process.spawn(
                self.name, module, {**environ, "AWS_LAMBDA_RUNTIME_API": address}
            )
            try:
                return await self._serve(process, listener)
            finally:  # a stop cancels this while the process is running
                process.kill()
                await process.wait()

    def is_busy_for(self, seconds: float) -> bool:
        """Whether it has been busy with one invocation for that long."""
        return self._current is not None and self._current.runs_for(seconds)

    def retire(self) -> None:
        """Take no more invocations, and end as soon as the current one has its result."""
        self._retired = True
        if self._taking:
            self._taking.cancel()
        if self._process and not self._current:
            self._process.kill()

    async def next(self) -> Invocation:
        """Wait for the next invocation, and return it."""
        self._unlimit()
        self.ready = True
        self.settled.set()
        if self._retired and self._process:
            self._process.kill()
        self._taking = asyncio.create_task(self._take())
        invocation = await self._taking
        self._limit(
            invocation.seconds,
            f"The function has not answered within {invocation.seconds:g} s, the Timeout that the "
            "template gives it, and was stopped.",
        )
        return invocation

    def respond(self, id_: str, payload: bytes) -> None:
        """Take the handler's result for an invocation."""
        invocation = self._finish(id_)
        try:
            invocation.succeed(_result(payload))
        except FunctionError as error:
            invocation.fail(error)

    def report(self, id_: str, payload: bytes) -> None:
        """Take the error of an invocation."""
        self._finish(id_).fail(_reported(payload))

    def report_init(self, payload: bytes) -> None:
        """Take the error of importing the handler; the process ends after it."""
        self._why = _reported(payload, broken=True)

    async def _serve(self, process: Process, listener: socket.socket) -> FunctionError:
        # After the process has started, which imports its modules while this imports aiohttp.
        from scripts.commands.dev.runtime_api import serving

        self._process = process
        if self._retired:
            process.kill()
        self._limit(INIT_SECONDS, f"The function has not become ready within {INIT_SECONDS:g} s.")
        async with serving(self, listener):
            try:
                return self._end(await process.wait())
            finally:
                process.kill()  # before the Runtime API stops, or it would print an error

    async def _take(self) -> Invocation:
        while not self._retired:
            invocation = await self._invocations.get()
            if not invocation.result.done():  # otherwise nobody is waiting any more
                invocation.take()
                self._current = invocation
                if self._process:
                    self._process.tail.clear()  # earlier output is about other invocations
                return invocation
        raise asyncio.CancelledError  # the process is about to end

    def _finish(self, id_: str) -> Invocation:
        """End the current invocation, and return it."""
        invocation = self._current
        if invocation is None or invocation.id != id_:
            raise KeyError(id_)
        self._current = None
        self._unlimit()
        return invocation

    def _limit(self, seconds: float, sentence: str) -> None:
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(seconds, self._overdue, FunctionError(504, sentence))

    def _unlimit(self) -> None:
        if self._deadline:
            self._deadline.cancel()

    def _overdue(self, error: FunctionError) -> None:
        self._why = error
        if self._process:
            self._process.kill()

    def _end(self, status: int) -> FunctionError:
        self._unlimit()
        error = self._why or self._explain(status)
        self.settled.set()
        if self._current:
            self._current.fail(error)
        return error

    def _explain(self, status: int) -> FunctionError:
        words = "\n".join(self._process.tail) if self._process else ""
        if self._current:
            sentence = f"The function {ended(status)} while it answered this request."
            return FunctionError(502, sentence, words)
        # The same code would exit with the same status again, but a signal came from outside.
        broken = status > 0 and not self.ready
        sentence = f"The function {ended(status)} before it was ready."
        return FunctionError(502, sentence, words, broken=broken)


def _result(payload: bytes) -> Any:
    if len(payload) > MAX_PAYLOAD:
        raise FunctionError(
            502,
            f"The function's answer takes {len(payload)} bytes as JSON; Lambda passes on "
            f"{MAX_PAYLOAD} at the most.",
        )
    try:
        return json.loads(payload)
    except ValueError:
        raise FunctionError(502, "The function's answer is not JSON.") from None


def _reported(payload: bytes, *, broken: bool = False) -> FunctionError:
    """Return the error in a runtime's report, which has Lambda's format."""
    try:
        error = json.loads(payload)
        kind = f"{error['errorType']}: " if error["errorType"] else ""
        sentence = f"{kind}{error['errorMessage']}"
        detail = "".join(error.get("stackTrace") or [])
        if detail and sentence not in detail:  # AWS's client leaves the last line out
            detail = f"{detail.rstrip()}\n{sentence}"
    except (ValueError, TypeError, KeyError):
        sentence, detail = "The function failed.", payload.decode(errors="replace")
    return FunctionError(500, sentence, detail, broken=broken)
