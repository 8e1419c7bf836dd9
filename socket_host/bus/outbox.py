"""The outbox: messages that wait to be sent to the other hosts, in order."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from functions.contract.bus import MAX_BYTES

MAX_WAITING = 10_000  # messages
MAX_WAITING_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """A message to send."""

    message_id: str
    body: bytes


class Outbox:
    """A bounded queue, which drops its oldest entries when it is full.

    The oldest, because late messages are worth less than new ones, and a client that notices a gap
    can request what it missed.
    """

    def __init__(self, *, count: int = MAX_WAITING, size: int = MAX_WAITING_BYTES) -> None:
        self.dropped = 0
        # Called when there are entries and nothing is being sent; returns whether it took them
        # with `take_now`. If not, they go to a task that waits in `take`.
        self.taker: Callable[[], bool] = bool
        self._max_count = count
        self._max_size = size
        self._waiting: deque[Entry] = deque()
        self._size = 0
        self._taken = 0
        self._added = 0  # ever
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()  # by what was added before
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()

    def __len__(self) -> int:
        """Return the number of entries not yet sent, including those being sent."""
        return len(self._waiting) + self._taken

    def add(self, entry: Entry) -> bool:
        """Append an entry; return False if others had to be dropped to make room."""
        self._waiting.append(entry)
        self._added += 1
        self._size += len(entry.body)
        self._emptied.clear()
        kept = not self._drop()
        if not (self._taken or self._filled.is_set() or self.taker()):
            self._filled.set()
        return kept

    async def take(self, count: int, size: int = MAX_BYTES) -> list[Entry]:
        """Return the first entries, at least one, once there are any.

        They belong to the caller until it calls `settle`.
        """
        await self._filled.wait()
        return self.take_now(count, size)

    def take_now(self, count: int, size: int = MAX_BYTES) -> list[Entry]:
        """Return the first entries, as `take` does when there are any."""
        batch: list[Entry] = []
        while self._waiting and len(batch) < count:
            size -= len(self._waiting[0].body)
            if batch and size < 0:
                break
            batch.append(self._waiting.popleft())
        self._size -= sum([len(entry.body) for entry in batch])
        self._taken = len(batch)
        self._note()
        return batch

    def settle(self, unsent: Sequence[Entry]) -> None:
        """Finish a `take`, putting unsent entries back at the front, in order."""
        self._taken = 0
        if unsent:
            self._waiting.extendleft(reversed(unsent))
            self._size += sum(len(entry.body) for entry in unsent)
            self._drop()
        self._note()

    async def empty(self) -> None:
        """Wait until everything is sent."""
        await self._emptied.wait()

    async def sent(self) -> None:
        """Wait until the current entries are sent or dropped, ignoring later ones."""
        if self:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((self._added, waiter))
            await waiter

    def _drop(self) -> bool:
        dropped = self.dropped
        while len(self._waiting) > self._max_count or self._size > self._max_size:
            self._size -= len(self._waiting.popleft().body)
            self.dropped += 1
        return self.dropped > dropped

    def _note(self) -> None:
        if self._waiting and not self._taken:
            self._filled.set()
        else:
            self._filled.clear()
        if not self:
            self._emptied.set()
        while self._waiters and self._waiters[0][0] <= self._added - len(self):
            _, waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
