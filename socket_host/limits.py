"""Limits on clients: token buckets, and the size of acks."""

import json
import time
from collections.abc import Hashable, Iterable
from typing import Any

from socket_host.event_error import EventError

ANSWER_BYTES = 64 * 1024  # of JSON in one ack, for handlers that can answer in parts

_LONGEST_DEBT = 60.0  # seconds; the longest wait, whatever the last event cost

# Returned, never raised: an exception that is raised repeatedly accumulates tracebacks.
_TOO_FAST = EventError("You are sending too fast. Slow down.", reason="rate", retry=True)
_TOO_MANY = EventError(
    "Too many of your events are still unanswered. Wait for some of them.",
    reason="waiting",
    retry=True,
)


class Allowance:
    """One client's remaining allowance of events.

    Each event costs a token; tokens are refilled at `rate` a second, up to `burst`. At most `burst`
    events may be waiting for their acks.
    """

    __slots__ = ("_at", "_burst", "_rate", "_tokens", "waiting")

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self.waiting = 0  # events without an ack yet
        self._at = time.monotonic()

    def take(self) -> EventError | None:
        """Count one event, or return an error if it is refused.

        The caller decrements `waiting` once the event is answered.
        """
        if self.waiting >= self._burst:
            return _TOO_MANY
        now = time.monotonic()
        tokens = self._tokens + (now - self._at) * self._rate
        self._at = now
        if tokens < 1:
            self._tokens = tokens
            return _TOO_FAST
        self._tokens = (tokens if tokens < self._burst else self._burst) - 1
        self.waiting += 1
        return None


class Meter:
    """A token bucket for each key: `rate` tokens a second, at most `burst` seconds' worth.

    Costs are charged afterwards: a bucket may go below zero, and its key has to wait until it is
    above zero again. Full buckets are forgotten.
    """

    __slots__ = ("_burst", "_full_at", "_rate", "_sweep_at", "debts")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._full_at: dict[Hashable, float] = {}  # when each bucket will be full again
        self.debts: dict[Hashable, float] = {}  # when each key may continue
        self._sweep_at = 1_000

    def charge(self, key: Hashable, tokens: float) -> None:
        """Take tokens from a key's bucket."""
        now = time.monotonic()
        full_at = self._full_at.get(key, now)
        if full_at < now:
            full_at = now
        full_at += tokens / self._rate
        if full_at > now + self._burst:
            full_at = min(full_at, now + self._burst + _LONGEST_DEBT)
            self.debts[key] = full_at - self._burst
        self._full_at[key] = full_at
        if len(self._full_at) > self._sweep_at:
            self._sweep(now)

    def wait(self, key: Hashable) -> float:
        """Return the seconds until a key may continue; 0 if it may now."""
        until = self.debts.get(key)
        if until is None:
            return 0.0
        wait = until - time.monotonic()
        if wait > 0:
            return wait
        del self.debts[key]
        return 0.0

    def wait_for_half(self, key: Hashable) -> float:
        """Return the seconds until half of a key's bucket is full."""
        full_at = self._full_at.get(key, 0.0)
        return max(0.0, full_at - self._burst / 2 - time.monotonic())

    def __len__(self) -> int:
        return len(self._full_at)

    def _sweep(self, now: float) -> None:
        self._full_at = {key: at for key, at in self._full_at.items() if at > now}
        self.debts = {key: until for key, until in self.debts.items() if until > now}
        self._sweep_at = max(1_000, 2 * len(self._full_at))


def fitting(values: Iterable[Any], most: int = ANSWER_BYTES) -> list[Any]:
    """Return as many of the first `values` as fit into `most` bytes of JSON, but at least one."""
    fit: list[Any] = []
    for value in values:
        most -= len(json.dumps(value)) + 1
        if most < 0 and fit:
            break
        fit.append(value)
    return fit
