"""Nothing is lost: whatever happens, every page has every message once and in order.

Hosts are processes on one bus behind the edge and the load balancer's stand-in; pages are the
site's own code with official clients, by polling and by websocket, and write all the time.
"""

import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest

from functions.contract.bus import Topic
from functions.model.room_log import Message
from tests.chaos.crowd import ROOM, Report, crowd
from tests.chaos.dynamodb import dynamodb
from tests.chaos.site import site
from tests.chaos.storms import STORMS, Weather
from tests.chaos.wire import Wire
from tests.kit import buses
from tests.kit.buses import Redis

pytestmark = pytest.mark.chaos

PAGES = 6
# ms between two messages of a page, if not the usual. moto is slow, and hosts that write to one
# room faster than its DynamoDB takes messages shut each other out.
PACE = {"throttle": 1_200, "sns": 300}

SHORT = [("kill", 2), ("roll", 3), ("redis", 2), ("disturb", 2), ("throttle", 2)]
LONG = [(storm, hosts) for storm in STORMS for hosts in (2, 3) if (storm, hosts) not in SHORT]
CASES = [*SHORT, *(pytest.param(*case, marks=pytest.mark.long) for case in LONG)]

# Short, so that a page whose network fell silent notices soon.
PATIENCE = {"PING_INTERVAL": "1", "PING_TIMEOUT": "2", "DRAIN_SECONDS": "0.4"}


@pytest.mark.parametrize(("storm", "hosts"), CASES)
async def test_nothing_is_lost(
    storm: str,
    hosts: int,
    rounds: int,
    seed: int,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """After a storm every page shows every message that was acked, each once and in order."""
    async with AsyncExitStack() as stack:
        weather = await _weather(stack, storm, hosts, Random(seed), tmp_path)
        urls = [f"http://127.0.0.1:{wire.port}" for wire in weather.wires]
        people = await stack.enter_async_context(crowd(urls))
        for _ in range(rounds):
            await people.do("write", PACE.get(storm, 150))
            await people.flows()
            await STORMS[storm](weather)
            await people.flows()
            await people.do("stop")
        await weather.site.well()
        # Nobody says another word, by which a hole would show.
        await people.agrees()
        reports, stored = await people.report(), await weather.site.messages(ROOM)
        record_property("counts", f"{_counts(reports, weather)}, seed {seed}")
    _check(reports, stored)


async def _weather(
    stack: AsyncExitStack, storm: str, hosts: int, chance: Random, folder: Path
) -> Weather:
    bus, redis, topic = await _bus(stack, folder, "sns" if storm == "sns" else "redis")
    settings = PATIENCE | {"BUS": topic or f"redis://127.0.0.1:{bus.port}"}
    table = stack.enter_context(dynamodb(chance)) if storm == "throttle" else None
    if table:
        settings["ROOM_LOG"] = table.setting
    running = await stack.enter_async_context(site(folder, hosts, **settings))
    wires = [await stack.enter_async_context(Wire(running.port).open()) for _ in range(PAGES)]
    return Weather(running, chance, bus, wires, redis, topic and Topic.parse(topic), table)


async def _bus(
    stack: AsyncExitStack, folder: Path, kind: str
) -> tuple[Wire, Redis | None, str | None]:
    """What is to be disturbed of a bus: the wire to it, and Redis itself or the topic."""
    if kind == "redis":
        redis = await stack.enter_async_context(buses.redis(folder))
        return await stack.enter_async_context(Wire(redis.port).open()), redis, None
    stack.enter_context(buses.aws())
    topic = buses.topic()
    port = urlsplit(os.environ["AWS_ENDPOINT_URL"]).port
    assert port
    wire = await stack.enter_async_context(Wire(port).open())
    # For the hosts; aws puts back what was there.
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{wire.port}"
    return wire, None, topic


def _check(reports: list[Report], stored: list[Message]) -> None:
    order = [(message.seq, message.id) for message in stored]
    assert [seq for seq, _ in order] == list(range(1, len(order) + 1))
    for report in reports:
        assert report.shown == order, f"{report.name} shows something else than is stored"
        assert report.acked.items() <= {id_: seq for seq, id_ in order}.items()
        theirs = [message.text for message in stored if message.author == report.name.lower()]
        assert theirs == report.written, f"{report.name} wrote something else than is stored"
        assert not report.counts["doubled"], f"{report.name} was told twice on one connection"


def _counts(reports: list[Report], weather: Weather) -> str:
    total = {name: sum(r.counts[name] for r in reports) for name in reports[0].counts}
    messages = sum(len(report.written) for report in reports)
    acked = sum(len(report.acked) for report in reports)
    shown = sum(len(report.shown) for report in reports)
    return (
        f"{len(weather.site.hosts)} hosts, {len(reports)} pages, {messages} messages written, "
        f"{total['sent']} sends, {acked} acked, {shown} shown ({total['live']} came live), "
        f"{total['connects']} connects, {weather.repeated} repeated by the bus"
        + (f", {weather.dynamodb.refused} calls refused" if weather.dynamodb else "")
    )
