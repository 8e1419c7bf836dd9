"""Limits on what one client may send: a token bucket, and a cap on what waits for an answer."""

import time

from socket_host.event_error import EventError


class Allowance:
    """What one client has left of its allowance of events.

    Events cost a token each; tokens come back at `rate` a second up to `burst`. No more than
    `burst` events may wait for their answers.
    """

    __slots__ = ("_at", "_burst", "_rate", "_tokens", "_waiting")

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._waiting = 0
        self._at = time.monotonic()

    def __enter__(self) -> None:
        """Let one event begin; raise EventError if it may not now."""
        if self._waiting >= self._burst:
            raise EventError(
                "Too many of your events still wait for their answers. Wait for some of them.",
                reason="waiting",
                retry=True,
            )
        now = time.monotonic()
        tokens = self._tokens + (now - self._at) * self._rate
        self._tokens = tokens if tokens < self._burst else self._burst
        self._at = now
        if self._tokens < 1:
            raise EventError("You are sending too fast. Slow down.", reason="rate", retry=True)
        self._tokens -= 1
        self._waiting += 1

    def __exit__(self, *exception: object) -> None:
        """Note that the event has its answer."""
        self._waiting -= 1
