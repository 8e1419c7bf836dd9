"""A namespace's methods have types, so that mypy finds mistakes in handlers."""

import subprocess
import sys
from pathlib import Path

from tests.kit.hosts import ROOT

SAMPLE = '''
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from socket_host.namespace import Namespace, event, every, subscribe


@dataclass
class Bid:
    """A bid."""

    amount: int


class Auction(Namespace):
    """Right, but for the lines that say what is wrong with them."""

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        self.supervise(self.watch, "gold")
        self.supervise(self.watch, 7)  # arg-type
        self.supervise(self.watch)  # call-arg
        yield

    async def watch(self, item: str) -> None:
        self.emit_soon("watched", item, room=item)
        self.emit_soon("watched", item, rom=item)  # call-arg

    @event("auction:bid", limit="5/s")
    async def bid(self, sid: str, bid: Bid) -> dict[str, int]:
        await self.emit("bid", bid.amount, room="auction")
        await self.emitt("bid", bid.amount)  # attr-defined
        await self.emit("bid", bid.amount, rom="auction")  # call-arg
        await self.emit("bid", bid.amount, room=7)  # arg-type
        self.emit("bid", bid.amount)  # unused-coroutine
        self.enter_room(sid, "auction")  # unused-coroutine
        await self.enter_room(sid, 7)  # arg-type
        await self.server.emit("bid", bid.amount, namespace="/other")
        await self.server.emit("bid", bid.amount, rom="auction")  # call-arg
        self.server.on("bid", self.bid)  # attr-defined
        self.server.start_background_task(self.emit, "bid", 7, room="auction")
        self.server.start_background_task(self.emit, "bid", 7, rom="auction")  # call-arg
        rooms: list[int] = self.rooms(sid)  # assignment
        return {"amount": bid.amount, "id": self.visitor(sid).id}  # dict-item

    @every(1)
    async def tick(self) -> None:
        self.spend("much")  # arg-type

    @every(1)  # type-var
    def tock(self) -> None: ...

    @subscribe("prices")
    async def price_changed(self, bid: Bid) -> None:
        self.disconnect(bid.sid)  # unused-coroutine attr-defined
'''


def test_mistakes_are_found(tmp_path: Path) -> None:
    """mypy finds each mistake of the sample, and nothing else."""
    sample = tmp_path / "auction.py"
    sample.write_text(SAMPLE)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "pyproject.toml"]
    cache = ["--cache-dir", str(tmp_path / "cache"), "--no-error-summary", "--hide-error-context"]
    done = subprocess.run([*command, *cache, str(sample)], cwd=ROOT, capture_output=True, text=True)
    lines = SAMPLE.splitlines()
    expected = {
        (number, code)
        for number, line in enumerate(lines, 1)
        if "  # " in line
        for code in line.partition("  # ")[2].split()
    }
    found = {
        (int(line.split(":")[1]), line.rpartition("[")[2].rstrip("]"))
        for line in done.stdout.splitlines()
        if ": error: " in line
    }
    assert found == expected, done.stdout + done.stderr
