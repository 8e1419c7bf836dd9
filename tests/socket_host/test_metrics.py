"""The metrics: what the host writes for CloudWatch, and when."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from socket_host import metrics
from socket_host.metrics import embedded_metrics, next_moment
from tests.kit import buses
from tests.kit.clients import clients
from tests.kit.hosts import serving, token, url
from tests.kit.waiting import until

BEGIN = 1_700_000_040.0  # the beginning of a minute


def test_line_is_an_embedded_metrics() -> None:
    """The line is what CloudWatch's specification asks for: each name it refers to is there."""
    said = json.loads(embedded_metrics("my-stack", 12, BEGIN))
    (metric,) = said["_aws"]["CloudWatchMetrics"]
    assert said["_aws"]["Timestamp"] == BEGIN * 1_000  # milliseconds
    assert metric["Namespace"] == "my-stack"
    ((dimension,),) = metric["Dimensions"]
    (measured,) = metric["Metrics"]
    assert isinstance(said[dimension], str)
    assert (said[measured["Name"]], measured["Unit"]) == (12, "Count")


@pytest.mark.parametrize("early", [0.0, 0.01, -0.01, -29.0])
def test_every_minute_has_one_value(early: float) -> None:
    """Each minute has one value, in its middle, whether the timer is early, exact or late."""
    last, moments = 0.0, []
    now = BEGIN + 1
    for _ in range(5):
        last = next_moment(now, last)
        moments.append(last)
        now = last - early
    assert moments == [BEGIN + 30 + 60 * minute for minute in range(5)]


def test_clock_that_is_set_back() -> None:
    """A clock that is set back does not end the values for as long."""
    assert next_moment(BEGIN - 3_600, BEGIN + 30) == BEGIN - 3_600 + 30


class Log(list[dict[str, Any]]):
    """What a host has written to its log, as far as it is a metric."""

    def add(self, text: str, **_: Any) -> None:
        self.append(json.loads(text))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """The log of a host for which a minute is a moment."""
    found = Log()
    monkeypatch.setattr(metrics, "_MINUTE", 0.02)
    monkeypatch.setattr(metrics, "print", found.add, raising=False)
    return found


async def test_host_counts_its_clients(tmp_path: Path, log: Log) -> None:
    """A host says how many clients it has: when it has none, too, and while it drains."""
    settings = {"metric_namespace": "my-stack", "drain_seconds": 3_600}
    async with serving(tmp_path, **settings) as host, clients() as made:
        await until(lambda: log)
        assert log[-1]["Clients"] == 0
        await made.connect(url(host), token())
        await until(lambda: log[-1]["Clients"] == 1)
        draining = asyncio.create_task(host.drain())
        await until(lambda: host.admission.draining)
        before = len(log)
        await until(lambda: len(log) > before + 1)
        host.hurry()
        await draining
    times = [said["_aws"]["Timestamp"] for said in log]
    assert sorted(set(times)) == times


async def test_bus_is_degraded(tmp_path: Path, log: Log) -> None:
    """While the bus is unavailable, the metric has a value, even if nothing is emitted."""
    async with buses.redis(tmp_path) as redis:
        settings = {"metric_namespace": "my-stack", "bus": redis.setting}
        async with serving(tmp_path, **settings):
            await until(lambda: log)
            assert "BusDegraded" not in log[-1]
            await redis.stop()
            await until(lambda: log[-1].get("BusDegraded") == 1)
            await redis.start()
            await until(lambda: "BusDegraded" not in log[-1])


async def test_log_that_nobody_reads(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that cannot be written is not the last."""

    def fail(*_: Any, **__: Any) -> None:
        monkeypatch.setattr(metrics, "print", log.add, raising=False)
        raise BrokenPipeError

    monkeypatch.setattr(metrics, "print", fail, raising=False)
    async with serving(tmp_path, metric_namespace="my-stack"):
        await until(lambda: log)


async def test_no_metric_without_a_namespace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody has asked for them, as on a laptop, nothing is written."""
    monkeypatch.delattr("socket_host.app.keep_writing")
    async with serving(tmp_path) as host:
        assert host.settings.metric_namespace == ""
