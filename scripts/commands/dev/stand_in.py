"""The process that stands in for AWS while pages come from `sam local`."""

import asyncio
import re
from pathlib import Path
from typing import Any, Self

from scripts.commands.dev.process import Process

_START_SECONDS = 60.0

_READY = re.compile(r"Standing in for AWS on (http://\S+)")


class StandInError(Exception):
    """The stand-in for AWS did not start; the text says why."""


class StandIn:
    """A server with the template's tables, which are lost when scripts/dev ends."""

    def __init__(self, process: Process, url: str) -> None:
        self._process = process
        self.url = url

    @classmethod
    async def start(cls, template: Path) -> Self:
        """Return it once it is ready; raise StandInError if it does not start."""
        answering: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def on_line(line: str) -> None:
            if (found := _READY.fullmatch(line)) and not answering.done():
                answering.set_result(found[1])

        module = ["scripts.commands.dev.aws", str(template)]
        process = await Process.spawn("aws", module, {}, on_line)
        ending = asyncio.create_task(process.wait())
        either: list[asyncio.Future[Any]] = [answering, ending]
        await asyncio.wait(either, timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            process.kill()
            await ending
            raise StandInError("\n".join(process.tail) or "The stand-in for AWS did not start.")
        ending.cancel()
        return cls(process, answering.result())

    async def stop(self) -> None:
        """End the process; its data is lost."""
        self._process.kill()
        await self._process.wait()
