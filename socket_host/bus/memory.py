"""The memory: which messages a host has had, because any kind of bus may bring one twice."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Self

_WIDTH = 1_024  # messages of one sender that may have overtaken an older one; a batch is smaller
ALL = (1 << _WIDTH) - 1

MAX_SENDERS = 10_000  # remembered; each message from a function has a sender of its own

_SNAPSHOT = 2_000  # senders: all hosts, and functions that spoke in the last minutes


class Memory:
    """Of each sender it keeps the highest number it has had, and which of those just below."""

    def __init__(self, senders: int = MAX_SENDERS) -> None:
        self._max_senders = senders
        self._had: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._had)

    @classmethod
    def of(cls, snapshot: Mapping[str, Sequence[Any]]) -> Self:
        """Return the memory that a snapshot was made of."""
        memory = cls()
        for sender, (highest, had) in reversed(list(snapshot.items())):
            memory._had[sender] = highest, int(had, 16) & ALL
        return memory

    def snapshot(self, senders: int = _SNAPSHOT) -> dict[str, list[Any]]:
        """Return, as JSON, what it has had of the senders heard last."""
        last = islice(reversed(self._had.items()), senders)
        return {sender: [highest, f"{had:x}"] for sender, (highest, had) in last}

    def add(self, other: Self) -> None:
        """Have had what another memory has had too."""
        for sender, (highest, had) in other._had.items():
            mine, bits = self._had.get(sender, (highest, 0))
            top = max(mine, highest)
            joined = bits << min(top - mine, _WIDTH) | had << min(top - highest, _WIDTH)
            self._had[sender] = top, joined & ALL

    def beyond(self, other: "Memory", besides: str) -> "Memory":
        """Return a memory of those senders of whom another lacks something that this one had.

        One sender is known to the other in full besides.
        """
        rest = Memory()
        for sender, (highest, had) in self._had.items():
            if sender == besides:
                continue
            theirs, bits = other._had.get(sender, (highest - 1, 0))
            if theirs < highest or had << min(theirs - highest, _WIDTH) & ALL & ~bits:
                rest._had[sender] = highest, had
        return rest

    def highest(self) -> Iterator[tuple[str, int]]:
        """Yield each sender and its highest number."""
        for sender, (highest, _) in self._had.items():
            yield sender, highest

    def has(self, message_id: str) -> bool:
        """Tell if a message was there; one much older than the sender's newest counts as had."""
        sender, _, digits = message_id.rpartition(":")
        if sender not in self._had:
            return False
        highest, had = self._had[sender]
        behind = highest - int(digits)
        return behind >= _WIDTH or (behind >= 0 and bool(had >> behind & 1))

    def is_new(self, message_id: str | None) -> bool:
        """Tell if a message `sender:number` was not there before, and remember it.

        One much older than the sender's newest counts as had: nothing overtakes so many. One
        without an id is always new. Raises ValueError for an id of another form.
        """
        if message_id is None:
            return True
        sender, _, digits = message_id.rpartition(":")
        number = int(digits)
        highest, had = self._had.get(sender, (number - 1, 0))  # of `had`, bit n is highest - n
        ahead = number - highest
        if ahead == 1 and had == ALL:
            highest = number  # the usual case, for which long numbers take too long
        elif ahead > 0:
            highest, had = number, (had << min(ahead, _WIDTH) | 1) & ALL
        elif -ahead >= _WIDTH or had >> -ahead & 1:
            return False
        else:
            had |= 1 << -ahead
        self._had[sender] = highest, had
        self._had.move_to_end(sender)
        if len(self._had) > self._max_senders:
            self._had.popitem(last=False)
        return True
