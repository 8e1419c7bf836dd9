"""The memory: which messages a host has had, because any kind of bus may bring one twice."""

from collections import OrderedDict

_WIDTH = 1_024  # messages of one sender that may have overtaken an older one; a batch is smaller
_ALL = (1 << _WIDTH) - 1

MAX_SENDERS = 10_000  # remembered; each message from a function has a sender of its own


class Memory:
    """Of each sender it keeps the highest number it has had, and which of those just below."""

    def __init__(self, senders: int = MAX_SENDERS) -> None:
        self._max_senders = senders
        self._had: OrderedDict[str, tuple[int, int]] = OrderedDict()

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
        if ahead == 1 and had == _ALL:
            highest = number  # the usual case, for which long numbers take too long
        elif ahead > 0:
            highest, had = number, (had << min(ahead, _WIDTH) | 1) & _ALL
        elif -ahead >= _WIDTH or had >> -ahead & 1:
            return False
        else:
            had |= 1 << -ahead
        self._had[sender] = highest, had
        self._had.move_to_end(sender)
        if len(self._had) > self._max_senders:
            self._had.popitem(last=False)
        return True
