"""A run: every measure is taken, nothing is lost, and failures are reported."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import ROOT
from scripts.commands.bench import redis
from scripts.commands.bench.bus import bus_visits
from scripts.commands.bench.load import Conditions
from scripts.commands.bench.run import Choice, Run
from scripts.commands.bench.servers import SERVERS
from tests.scripts.bench.tiny_plan import TINY


@pytest.fixture(scope="session")
def tiny_run(folder: Path) -> Run:
    """Measure everything with a few clients, on the servers that need no npm."""
    servers = tuple(SERVERS[name] for name in ("stock", "bare"))
    run = Run(TINY, Choice(("",), servers), Conditions(spin=False, silence=5), folder)
    run.measure()
    return run


def test_every_measure_is_taken_and_nothing_is_lost(tiny_run: Run) -> None:
    """A run takes each measure on each server that supports it, and counts all messages."""
    assert tiny_run.left_out == {}
    everywhere = {"broadcast-3", "broadcast-5", "burst-5", "crowd-5", "event", "pipelined"}
    everywhere |= {"paced", "paced-p50", "paced-p99", "handshake", "disconnect-10"}
    for name in everywhere:
        assert set(tiny_run.figures.values[name]) == {"stock", "bare"}, name
    for name in ("upgrade", "memory"):
        assert set(tiny_run.figures.values[name]) == {"stock"}, name
    assert tiny_run.figures.lost("stock") == tiny_run.figures.lost("bare") == 0


def test_two_hosts_are_measured(folder: Path) -> None:
    """A pair of hosts on a real Redis yields every value of its visit, and loses nothing."""
    servers = (SERVERS["fast"],)
    run = Run(
        TINY, Choice(("bus",), servers), Conditions(spin=False, silence=5), folder, bus_visits
    )
    run.measure()
    assert run.left_out == {}
    for name in ("message", "listening", "burst", "paced", "p50", "p99"):
        for size in (2, 3):
            assert (run.figures.median(f"bus-{name}-{size}", "fast") or 0) > 0, (name, size)
    assert run.figures.lost("fast") == 0


def test_a_missing_redis_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without redis-server the bus is not measured, and a message says what to install."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(redis.RedisError, match="apt-get install redis-server"):
        redis.version()


def test_a_server_that_does_not_start_is_left_out(folder: Path) -> None:
    """A server that fails is reported with its output, and the others are measured."""
    broken = dataclasses.replace(
        SERVERS["node"], program=(sys.executable, "-c", "raise SystemExit('no such luck')")
    )
    choice = Choice(("handshake",), (broken, SERVERS["bare"]))
    run = Run(TINY, choice, Conditions(spin=False), folder)
    run.measure()
    assert "no such luck" in run.left_out["node", "start"]
    assert run.figures.servers() == ["bare"]


def test_an_unknown_server_is_refused() -> None:
    """A misspelt server causes a message with the known ones."""
    command = [sys.executable, "-m", "scripts.commands.bench", "--servers", "node,fats"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "'fats' is not one of node, stock, fast" in done.stderr
