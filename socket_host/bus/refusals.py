"""The refusals: what came over the bus and does not belong there."""

import logging
import time
from collections import Counter

_log = logging.getLogger(__name__)

_RECENT = 60.0  # seconds for which a refusal makes the bus degraded


class Refusals:
    """Counts what is refused, by cause; the first of each cause is logged."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._last = ""
        self._until = 0.0

    def note(self, cause: str) -> None:
        """Count one; a cause is one of few, and holds nothing of what came."""
        self.counts[cause] += 1
        self._last, self._until = cause, time.monotonic() + _RECENT
        if self.counts[cause] == 1:
            _log.warning(
                "A message from the bus is refused (%s); from now on they are only counted.",
                cause,
                extra={"cause": cause},
            )

    @property
    def sentence(self) -> str:
        """What is wrong, while there was something lately; else empty."""
        if time.monotonic() >= self._until:
            return ""
        return f"Somebody sends messages that do not belong on the bus: {self._last}."
