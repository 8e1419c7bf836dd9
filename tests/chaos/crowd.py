"""A crowd: pages with official clients, many of them in one Node process."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kit.hosts import token

ROOM = "storm"
PAGE = Path(__file__).parent / "page.mjs"  # the small app's
PATIENCE = 60  # seconds: pages that were offline for long have much to catch up with

# As the page connects by default; where websockets are blocked; and as other clients connect.
WAYS: list[list[str] | None] = [None, ["polling"], ["polling", "websocket"]]


Stand = list[dict[str, Any]]  # the state of each page


@dataclass(frozen=True)
class Report:
    """What one page has shown, sent and received."""

    name: str
    shown: list[tuple[int, str]]  # seq and id of each message, in the order they appeared
    written: list[str]  # texts, in the order they were typed
    acked: dict[str, int]  # seq by id
    counts: dict[str, int]


class Crowd:
    """Pages in a room."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def do(self, command: str, *values: Any) -> Any:
        """Run a command in all pages; return the answer of crowd.mjs."""
        return await self._ask([command, *values])

    async def _ask(self, line: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        async with asyncio.timeout(PATIENCE):
            answer = await self._process.stdout.readline()
        assert answer, "the crowd's process has ended; see its stderr"
        return json.loads(answer)

    async def flows(self, count: int = 10) -> None:
        """Wait until every page has shown this many more messages."""
        before = {page["name"]: page["shown"] for page in await self.do("stand")}
        await self._stands(
            lambda stand: all(page["shown"] >= before[page["name"]] + count for page in stand)
        )

    async def agrees(self) -> None:
        """Wait until every page has sent all its messages and shows those of all pages."""
        await self._stands(_agree)

    async def _stands(self, condition: Callable[[Stand], bool]) -> None:
        stand: Stand = []
        try:
            async with asyncio.timeout(PATIENCE):
                while not (stand and condition(stand)):
                    await asyncio.sleep(0.05)
                    stand = await self.do("stand")
        except TimeoutError:
            raise AssertionError("\n".join(["The state of the pages:", *map(str, stand)])) from None

    async def report(self) -> list[Report]:
        return [
            Report(**page | {"shown": list(map(tuple, page["shown"]))})
            for page in await self.do("report")
        ]


def _agree(stand: Stand) -> bool:
    written = sum(page["written"] for page in stand)
    return all(
        not page["unsent"] and page["shown"] == written and page["connected"] for page in stand
    )


@asynccontextmanager
async def crowd(urls: Sequence[str], page: Path = PAGE) -> AsyncIterator[Crowd]:
    """Open a page for each address, alternating between the ways to connect.

    `page` is a module with a class Page such as the small app's.
    """
    process = await asyncio.create_subprocess_exec(
        *("node", "--no-warnings", "--experimental-vm-modules"),
        *(str(Path(__file__).parent / "crowd.mjs"), str(page)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=64 * 1024 * 1024,
    )
    names = [f"Page{number}" for number in range(1, len(urls) + 1)]
    pages = [
        {"url": url, "token": token(name), "room": ROOM, "name": name}
        | ({"transports": way} if (way := WAYS[number % len(WAYS)]) else {})
        for number, (url, name) in enumerate(zip(urls, names, strict=True))
    ]
    running = Crowd(process)
    try:
        assert await running._ask(pages) == "open"
        yield running
    finally:
        assert process.stdin
        process.stdin.close()  # ends it
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
