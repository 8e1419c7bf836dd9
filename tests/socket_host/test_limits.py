"""Limits count usage, refill over time, and forget full buckets."""

import json

import pytest

from socket_host import limits
from socket_host.limits import Meter, fitting


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that stands still."""
    clock = Clock()
    monkeypatch.setattr(limits, "time", clock)
    return clock


def test_debt_must_be_paid(clock: Clock) -> None:
    """A key may use a burst and go into debt once; then it waits until the debt is paid."""
    meter = Meter(100, 4)
    meter.charge("a", 400)
    assert meter.wait("a") == 0
    meter.charge("a", 250)
    assert meter.wait("a") == pytest.approx(2.5)
    assert meter.wait("b") == 0
    clock.now += 2
    assert meter.wait("a") == pytest.approx(0.5)
    clock.now += 0.6
    assert meter.wait("a") == 0
    meter.charge("a", 10)
    assert meter.wait("a") == 0
    meter.charge("a", 10)
    assert meter.wait("a") > 0


def test_half_is_left(clock: Clock) -> None:
    """`wait_for_half` waits while less than half of the bucket is left."""
    meter = Meter(100, 4)
    assert meter.wait_for_half("a") == 0
    meter.charge("a", 300)
    assert meter.wait_for_half("a") == pytest.approx(1)
    assert meter.wait("a") == 0
    clock.now += 1
    assert meter.wait_for_half("a") == 0


def test_debt_has_an_end(clock: Clock) -> None:
    """The longest wait is a minute, whatever the cost."""
    meter = Meter(1, 4)
    meter.charge("a", 1e9)
    assert meter.wait("a") == pytest.approx(60)


def test_full_buckets_are_forgotten(clock: Clock) -> None:
    """Only buckets that are not full take memory."""
    meter = Meter(100, 4)
    for number in range(50_000):
        meter.charge(number, 1_000)
        clock.now += 0.1
    assert len(meter) < 2_500
    assert len(meter.debts) < 2_500


def test_fitting() -> None:
    """`fitting` returns the first values that fit, and at least one."""
    values = ["x" * 100, "ä" * 100, "y" * 10_000, "z"]
    assert fitting(values, 1_000) == values[:2]
    assert fitting(values, 100) == values[:1]
    assert fitting(values[2:], 100) == values[2:3]
    assert fitting([], 100) == []
    assert len(json.dumps(fitting(["ä"] * 1_000, 900))) <= 1_000
