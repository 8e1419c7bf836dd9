"""One invocation of a function: its event and its result."""

import asyncio
import time
import uuid
from dataclasses import dataclass, field
from typing import Any


class FunctionError(Exception):
    """The function has not answered; has the status and the message to answer with instead."""

    def __init__(
        self, status: int, sentence: str, detail: str = "", *, broken: bool = False
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.detail = detail  # a traceback, or the last output of the process
        self.broken = broken  # it would fail in the same way again until a save


@dataclass(eq=False)
class Invocation:
    """An event for the handler, and a future for the result."""

    event: bytes
    seconds: float  # that the handler may take
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    result: asyncio.Future[Any] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    taken_at: float | None = None  # when a handler started on it, by time.monotonic()

    def take(self) -> None:
        """Note that a handler starts on it."""
        self.taken_at = time.monotonic()

    def runs_for(self, seconds: float) -> bool:
        """Whether a handler has been running it for that long."""
        return self.taken_at is not None and time.monotonic() - self.taken_at >= seconds

    def succeed(self, result: Any) -> None:
        """Set the result, if anybody is still waiting for it."""
        if not self.result.done():
            self.result.set_result(result)

    def fail(self, error: FunctionError) -> None:
        """Set the error, if anybody is still waiting for the result."""
        if not self.result.done():
            self.result.set_exception(error)
