"""A cache with a bound in bytes, because strangers' requests fill it."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Keeps the most recently used values, up to `max_bytes` in all.

    `put` takes the size of an entry in bytes, including its key.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.size = 0  # bytes
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """Return the value of a key, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: V, size: int) -> None:
        """Keep a value, and drop the least recently used ones while there are too many bytes.

        A value that is larger than the whole cache is not kept.
        """
        self.size += size - self._entries.pop(key, (None, 0))[1]
        self._entries[key] = value, size
        while self.size > self.max_bytes:
            self.size -= self._entries.popitem(last=False)[1][1]
