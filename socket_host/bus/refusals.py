"""Refusals: counts invalid messages from the bus."""

import logging
import time
from collections import Counter

_log = logging.getLogger(__name__)

_RECENT = 60.0  # seconds for which the bus is degraded after a refusal


class Refusals:
    """Counts refused messages by cause, and logs the first of each cause."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._last = ""
        self._until = 0.0

    def note(self, cause: str) -> None:
        """Count one; `cause` is one of a few fixed texts, and contains no input."""
        self.counts[cause] += 1
        self._last, self._until = cause, time.monotonic() + _RECENT
        if self.counts[cause] == 1:
            _log.warning(
                "Refused a message from the bus: %s. /health counts further ones.",
                cause,
                extra={"cause": cause},
            )

    @property
    def sentence(self) -> str:
        """What was wrong recently; empty if nothing was."""
        if time.monotonic() >= self._until:
            return ""
        return f"Invalid messages arrive from the bus: {self._last}."
