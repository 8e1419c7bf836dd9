"""One call of a function: its event on the way there, and what comes back."""

import asyncio
import time
import uuid
from dataclasses import dataclass, field
from typing import Any


class FunctionError(Exception):
    """The function has not answered; says with what status and words to answer in its place."""

    def __init__(
        self, status: int, sentence: str, detail: str = "", *, broken: bool = False
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.detail = detail  # a traceback, or what the process wrote last
        self.broken = broken  # it would end the same way again: only a save helps


@dataclass(eq=False)
class Invocation:
    """One event on its way to the handler, and the result on its way back."""

    event: bytes
    seconds: float  # the handler may take
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    result: asyncio.Future[Any] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    taken_at: float | None = None  # when a handler began with it, by time.monotonic()

    def take(self) -> None:
        """Note that a handler begins with it."""
        self.taken_at = time.monotonic()

    def runs_for(self, seconds: float) -> bool:
        """Whether a handler has been at it for so long."""
        return self.taken_at is not None and time.monotonic() - self.taken_at >= seconds

    def succeed(self, result: Any) -> None:
        """Hand over the result, if anybody still waits for it."""
        if not self.result.done():
            self.result.set_result(result)

    def fail(self, error: FunctionError) -> None:
        """Say that there will be no result, if anybody still waits for it."""
        if not self.result.done():
            self.result.set_exception(error)
