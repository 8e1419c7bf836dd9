"""A token bucket: allows a burst, and then a steady rate."""

import time


class Bucket:
    """Holds up to `burst` tokens, and refills by `rate` tokens a second."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = time.monotonic()

    def take(self, tokens: float = 1) -> bool:
        """Take tokens and return True; if there are too few, take none and return False."""
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < tokens:
            return False
        self._tokens -= tokens
        return True
