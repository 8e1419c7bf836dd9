"""A budget of bytes that the host holds for all clients together."""

from __future__ import annotations

from collections.abc import Callable, Hashable


class Budget:
    """Limits the bytes that its holders hold together.

    Beyond the limit, whoever has held something longest is evicted, since honest clients soon
    complete their input, and read what they are sent.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0  # bytes
        self._holders: dict[Hashable, tuple[int, Callable[[], None]]] = {}

    def __len__(self) -> int:
        """Return how many holders there are."""
        return len(self._holders)

    def hold(self, holder: Hashable, size: int, evict: Callable[[], None]) -> None:
        """Note that `holder` now holds `size` bytes; `evict` must make it drop them."""
        before = self._holders.get(holder)
        self.held += size - (before[0] if before else 0)
        self._holders[holder] = size, evict
        while self.held > self.limit:
            oldest = next(iter(self._holders))
            evict_oldest = self._holders[oldest][1]
            self.release(oldest)
            evict_oldest()

    def release(self, holder: Hashable) -> None:
        """Note that `holder` no longer holds anything."""
        size, _ = self._holders.pop(holder, (0, None))
        self.held -= size

    def clear(self) -> None:
        """Forget all holders."""
        self._holders.clear()
        self.held = 0
