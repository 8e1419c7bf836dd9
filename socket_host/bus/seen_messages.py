"""The messages that a host has seen, because every kind of bus may deliver duplicates."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Self

from socket_host.bus.schema import is_id

_WIDTH = 1_024  # messages of one sender that may overtake an older one; a batch is smaller
ALL = (1 << _WIDTH) - 1

MAX_SENDERS = 10_000  # remembered; each message from a function has its own sender

# How far a sender's number may be ahead of its last one. A restarted host has a new id.
_LEAP = 100_000
_MAX_DOUBTS = 1_000  # senders whose last number was too far ahead

_SNAPSHOT = 2_000  # senders: all hosts, and the functions of the last few minutes


class UnlikelyNumberError(ValueError):
    """A message's number is too far ahead of its sender's last one."""


class SeenMessages:
    """Keeps each sender's highest number, and which of the numbers just below it were seen.

    A number that is far ahead is refused, unless the sender's next message follows it. That one is
    accepted, and `on_leap` is called, because all messages in between may be lost.
    """

    def __init__(
        self, senders: int = MAX_SENDERS, on_leap: Callable[[], object] | None = None
    ) -> None:
        self._max_senders = senders
        self._had: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._doubts: OrderedDict[str, int] = OrderedDict()  # by sender, the number far ahead
        self._on_leap = on_leap

    def __len__(self) -> int:
        return len(self._had)

    @classmethod
    def of(cls, snapshot: Mapping[str, Sequence[Any]]) -> Self:
        """Return the seen messages in a snapshot."""
        seen = cls()
        for sender, (highest, had) in reversed(list(snapshot.items())):
            seen._had[sender] = highest, int(had, 16) & ALL
        return seen

    def snapshot(self, senders: int = _SNAPSHOT) -> dict[str, list[Any]]:
        """Return, as JSON, the seen messages of the most recent senders."""
        last = islice(reversed(self._had.items()), senders)
        return {sender: [highest, f"{had:x}"] for sender, (highest, had) in last}

    def add(self, other: Self) -> None:
        """Add another's seen messages."""
        for sender, (highest, had) in other._had.items():
            mine, bits = self._had.get(sender, (highest, 0))
            top = max(mine, highest)
            joined = bits << min(top - mine, _WIDTH) | had << min(top - highest, _WIDTH)
            self._had[sender] = top, joined & ALL

    def beyond(self, other: "SeenMessages", besides: str) -> "SeenMessages":
        """Return the part about senders from which `other` lacks a message that was seen here.

        `besides` is a sender from which the other has seen everything.
        """
        rest = SeenMessages()
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
        """Return whether a message was seen; one much older than the newest counts as seen."""
        sender, _, digits = message_id.rpartition(":")
        if sender not in self._had:
            return False
        highest, had = self._had[sender]
        behind = highest - int(digits)
        return behind >= _WIDTH or (behind >= 0 and bool(had >> behind & 1))

    def is_new(self, message_id: str | None) -> bool:
        """Return whether a message `sender:number` is new, and remember it.

        One much older than the sender's newest counts as seen, because no message is overtaken by
        so many. One without an id is always new. Raises ValueError for a malformed id, and its
        subclass UnlikelyNumberError for a number that is too far ahead.
        """
        if message_id is None:
            return True
        sender, _, digits = message_id.rpartition(":")
        number = int(digits)
        if not (digits.isdecimal() and digits.isascii()):  # int() allows signs and underscores
            raise ValueError("invalid message_id")
        # Bit n of `had` stands for the number highest - n.
        highest, had = self._had.get(sender) or self._unknown(message_id, number)
        ahead = number - highest
        if ahead == 1 and had == ALL:
            highest = number  # the usual case, in which shifting long integers would be slow
        elif not -_WIDTH < ahead <= _LEAP:
            _check_form(message_id)
            if not self._leaps(sender, number, ahead):
                return False
            highest, had = number, 1
        elif ahead > 0:
            highest, had = number, (had << min(ahead, _WIDTH) | 1) & ALL
        elif had >> -ahead & 1:
            return False
        else:
            had |= 1 << -ahead
        self._had[sender] = highest, had
        self._had.move_to_end(sender)
        if self._doubts:
            self._doubts.pop(sender, None)
        if len(self._had) > self._max_senders:
            self._had.popitem(last=False)
        return True

    def _unknown(self, message_id: str, number: int) -> tuple[int, int]:
        """Return the state of a sender before its first message."""
        _check_form(message_id)
        return number - 1, 0

    def _leaps(self, sender: str, number: int, ahead: int) -> bool:
        """Return whether a number far ahead follows the sender's last refused one."""
        doubted = self._doubts.pop(sender, None)
        if doubted is not None and 0 < number - doubted <= _WIDTH:
            if self._on_leap:
                self._on_leap()
            return True
        self._doubts[sender] = number
        if len(self._doubts) > _MAX_DOUBTS:
            self._doubts.popitem(last=False)
        if ahead > 0:
            raise UnlikelyNumberError("a number far ahead")
        return False


def _check_form(message_id: str) -> None:
    """Check the whole id, once for each sender."""
    if not is_id(message_id):
        raise ValueError("invalid message_id")
