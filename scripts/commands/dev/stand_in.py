"""The process that stands in for AWS while pages come from `sam local`."""

import asyncio
import re
from pathlib import Path
from typing import Any, Self

from scripts.commands.dev.process import Process

_START_SECONDS = 60.0

_STANDING = re.compile(r"Standing in for AWS on (http://\S+)")


class StandInError(Exception):
    """Nothing stands in for AWS; the text says why."""


class StandIn:
    """What keeps the template's tables, for as long as scripts/dev runs."""

    def __init__(self, process: Process, url: str) -> None:
        self._process = process
        self.url = url

    @classmethod
    async def start(cls, template: Path) -> Self:
        """Return it once it answers; raise StandInError if it does not."""
        answering: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def hear(line: str) -> None:
            if (found := _STANDING.fullmatch(line)) and not answering.done():
                answering.set_result(found[1])

        module = ["scripts.commands.dev.aws", str(template)]
        process = await Process.spawn("aws", module, {}, hear)
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
        """End it, with all that it keeps."""
        self._process.kill()
        await self._process.wait()
