"""Hosts soon know which others are alive, whatever happens to the bus."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from functions.contract.bus import ANNOUNCEMENT, encode
from socket_host.app import SocketHost
from socket_host.bus import outage, peers, redis
from socket_host.bus.peers import LOST, Peers
from socket_host.bus.schema import fault
from tests.kit import buses
from tests.kit.buses import Redis
from tests.kit.hosts import serving
from tests.kit.waiting import until


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Redis]:
    """A real Redis."""
    async with buses.redis(tmp_path) as server:
        yield server


@pytest.fixture
async def hosts(bus: Redis, tmp_path: Path) -> AsyncIterator[list[SocketHost]]:
    """Three hosts that know each other."""
    async with AsyncExitStack() as stack:
        found = [
            await stack.enter_async_context(serving(tmp_path, bus=bus.setting)) for _ in range(3)
        ]
        await until(lambda: [len(host.bus.peers) for host in found] == [2, 2, 2])
        yield found


class Watch:
    """Records changes of a host's peers."""

    def __init__(self, of: Peers) -> None:
        self.joined: list[str] = []
        self.lost: list[str] = []
        of.subscribe(joined=self.joined.append, lost=self.lost.append)


def silence(host: SocketHost) -> None:
    """Make a host silent, as if it were killed."""
    assert host.bus.peers._beating
    host.bus.peers._beating.cancel()


@pytest.fixture
def _quick_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "HEARTBEAT", 0.2)


@pytest.fixture
def _no_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "HEARTBEAT", 3_600)


@pytest.mark.usefixtures("_no_heartbeat")
async def test_greeting_is_answered(hosts: list[SocketHost]) -> None:
    """Hosts know each other, and never themselves, before the first heartbeat."""
    ids = {host.bus.host_id for host in hosts}
    for host in hosts:
        assert set(host.bus.peers) == ids - {host.bus.host_id}
        assert host.bus.host_id not in host.bus.peers
        assert host.bus.health()["peers"] == 2


@pytest.mark.usefixtures("_no_heartbeat")
async def test_goodbye_takes_effect_at_once(hosts: list[SocketHost]) -> None:
    """The others forget a host that stops before it has missed a heartbeat."""
    one, other, leaving = hosts
    watch = Watch(one.bus.peers)
    await leaving.stop()
    await until(lambda: len(one.bus.peers) == len(other.bus.peers) == 1)
    assert watch.lost == [leaving.bus.host_id]


@pytest.mark.usefixtures("_quick_heartbeat")
async def test_silent_host_is_lost(hosts: list[SocketHost]) -> None:
    """Only the silent host is lost; with its next heartbeat it has joined again."""
    one, other, silent = hosts
    watch = Watch(one.bus.peers)
    silence(silent)
    await until(lambda: silent.bus.host_id not in one.bus.peers)
    assert watch.lost == [silent.bus.host_id]
    silent.bus.peers._announce("alive")
    await until(lambda: silent.bus.host_id in one.bus.peers)
    assert watch.joined == [silent.bus.host_id]
    assert other.bus.host_id in one.bus.peers


@pytest.mark.usefixtures("_quick_heartbeat")
async def test_no_host_is_lost_during_an_outage(
    monkeypatch: pytest.MonkeyPatch, bus: Redis, tmp_path: Path
) -> None:
    """No host is lost while the bus is down, and afterwards all have time to reconnect."""
    monkeypatch.setattr(outage, "LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(redis, "_GATHER_SECONDS", 0.05)
    async with (
        serving(tmp_path, bus=bus.setting) as one,
        serving(tmp_path, bus=bus.setting) as other,
    ):
        await until(lambda: len(one.bus.peers) == len(other.bus.peers) == 1)
        watches = [Watch(one.bus.peers), Watch(other.bus.peers)]
        await bus.stop()
        await until(lambda: one.bus.health()["waiting"] > 2 * LOST)  # as many heartbeats
        await bus.start()
        for host in (one, other):
            arrivals = host.bus.arrivals
            await until(lambda: host.bus.arrivals > arrivals + 4 * LOST)  # noqa: B023 - called here
        assert [watch.lost + watch.joined for watch in watches] == [[], []]


async def test_failing_watcher_stops_no_heartbeat(
    hosts: list[SocketHost], caplog: pytest.LogCaptureFixture
) -> None:
    """A failing subscriber is logged, and the others are still called."""
    one, leaving, _ = hosts
    one.bus.peers.subscribe(lost=lambda host: 1 / 0)
    watch = Watch(one.bus.peers)
    await leaving.stop()
    await until(lambda: watch.lost == [leaving.bus.host_id])
    assert "A subscriber to changes of the peers failed." in caplog.text


async def test_host_alone_has_no_peers(tmp_path: Path) -> None:
    """Without a bus a host has no peers."""
    async with serving(tmp_path) as host:
        assert list(host.bus.peers) == []


def test_many_namespaces() -> None:
    """The heartbeats of a host with a hundred namespaces are accepted."""
    state = {f"attendance/{number:030}": 10**9 for number in range(100)}
    body = {"word": "alive", "state": state}
    message = {"method": ANNOUNCEMENT, "host_id": "host", "subject": "peers", "body": body}
    assert not fault(json.loads(encode(message, "host:1")))
