"""The budget for input that is not complete: parts of frames, of messages, of request bodies."""

from __future__ import annotations

from collections.abc import Callable, Hashable


class InputBudget:
    """Bytes of partial input that all clients together may make the host hold.

    When they hold more, the one whose input has been incomplete for the longest time is evicted:
    honest clients finish what they began.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0  # bytes
        self._holders: dict[Hashable, tuple[int, Callable[[], None]]] = {}

    def __len__(self) -> int:
        """Return how many hold something."""
        return len(self._holders)

    def hold(self, holder: Hashable, size: int, evict: Callable[[], None]) -> None:
        """Note that `holder` holds `size` bytes now; `evict` makes it let go of them."""
        before = self._holders.get(holder)
        self.held += size - (before[0] if before else 0)
        self._holders[holder] = size, evict
        while self.held > self.limit:
            oldest = next(iter(self._holders))
            evict_oldest = self._holders[oldest][1]
            self.release(oldest)
            evict_oldest()

    def release(self, holder: Hashable) -> None:
        """Note that `holder` holds nothing any more."""
        size, _ = self._holders.pop(holder, (0, None))
        self.held -= size
