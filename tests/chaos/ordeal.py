"""An ordeal: failures hit a site while pages write, and afterwards every page has every message."""

import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol
from urllib.parse import urlsplit

from functions.contract.bus import Topic
from tests.chaos.crowd import PAGE, Report, crowd
from tests.chaos.site import site
from tests.chaos.storms import Weather
from tests.chaos.wire import Wire
from tests.kit import buses
from tests.kit.buses import Redis

PAGES = 6

# Short, so that a page whose network is silent notices soon.
PATIENCE = {"PING_INTERVAL": "1", "PING_TIMEOUT": "2", "DRAIN_SECONDS": "0.4"}


class Stored(Protocol):
    """A stored message."""

    @property
    def seq(self) -> int: ...
    @property
    def id(self) -> str: ...
    @property
    def author(self) -> str: ...
    @property
    def text(self) -> str: ...


@dataclass(frozen=True)
class Ordeal:
    """The hosts and pages under test, and the failures that hit them."""

    environ: Callable[..., dict[str, str]]  # as `tests.kit.hosts.environ`
    storm: Callable[[Weather], Awaitable[None]]
    module: str = "tests.small_app"  # of the hosts
    page: Path = PAGE
    bus: str = "redis"
    hosts: int = 2
    pace: int = 150  # ms between two messages of a page

    async def run(
        self, folder: Path, chance: Random, rounds: int, **settings: str
    ) -> tuple[list[Report], str]:
        """Hit a site with failures; return the pages' reports, and the counts."""
        async with AsyncExitStack() as stack:
            weather = await self._weather(stack, folder, chance, settings)
            urls = [f"http://127.0.0.1:{wire.port}" for wire in weather.wires]
            people = await stack.enter_async_context(crowd(urls, self.page))
            for _ in range(rounds):
                await people.do("write", self.pace)
                await people.flows()
                await self.storm(weather)
                await people.flows()
                await people.do("stop")
            await weather.site.well()
            # No further message follows, which would reveal a gap.
            await people.agrees()
            reports = await people.report()
            return reports, _counts(reports, weather)

    async def _weather(
        self, stack: AsyncExitStack, folder: Path, chance: Random, settings: dict[str, str]
    ) -> Weather:
        bus, redis, topic = await _bus(stack, folder, self.bus)
        shared = PATIENCE | {"BUS": topic or f"redis://127.0.0.1:{bus.port}"} | settings
        environ = self.environ(folder, **shared)
        running = await stack.enter_async_context(site(environ, self.hosts, self.module))
        wires = [await stack.enter_async_context(Wire(running.port).open()) for _ in range(PAGES)]
        return Weather(running, chance, bus, wires, redis, topic and Topic.parse(topic))


async def _bus(
    stack: AsyncExitStack, folder: Path, kind: str
) -> tuple[Wire, Redis | None, str | None]:
    """The parts of a bus that can fail: the wire to it, and Redis itself or the topic."""
    if kind == "redis":
        redis = await stack.enter_async_context(buses.redis(folder))
        return await stack.enter_async_context(Wire(redis.port).open()), redis, None
    stack.enter_context(buses.aws())
    topic = buses.topic()
    port = urlsplit(os.environ["AWS_ENDPOINT_URL"]).port
    assert port
    wire = await stack.enter_async_context(Wire(port).open())
    # For the hosts; `aws` restores the former values.
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{wire.port}"
    return wire, None, topic


def check(reports: list[Report], stored: Sequence[Stored]) -> None:
    """Assert that each page shows what is stored, once and in order, and that no ack was false."""
    order = [(message.seq, message.id) for message in stored]
    assert [seq for seq, _ in order] == list(range(1, len(order) + 1))
    for report in reports:
        assert report.shown == order, f"{report.name} does not show what is stored"
        assert report.acked.items() <= {id_: seq for seq, id_ in order}.items()
        theirs = [message.text for message in stored if message.author == report.name.lower()]
        assert theirs == report.written, f"not what {report.name} wrote is stored"
        assert not report.counts["doubled"], f"{report.name} received a duplicate"


def _counts(reports: list[Report], weather: Weather) -> str:
    total = {name: sum(r.counts[name] for r in reports) for name in reports[0].counts}
    messages = sum(len(report.written) for report in reports)
    acked = sum(len(report.acked) for report in reports)
    shown = sum(len(report.shown) for report in reports)
    return (
        f"{len(weather.site.hosts)} hosts, {len(reports)} pages, {messages} messages written, "
        f"{total['sent']} sends, {acked} acked, {shown} shown ({total['live']} came live), "
        f"{total['connects']} connects, {weather.repeated} repeated by the bus"
    )
