"""Votes, in memory."""

from functions.contract.setting import StartError


class Votes:
    """Votes by choice; `most` must be at least one."""

    def __init__(self, most: int) -> None:
        if not most:
            raise StartError("A poll needs at least one vote. Set MOST_VOTES.")
        self._most = most
        self.counts: dict[str, int] = {}

    def add(self, choice: str) -> int:
        """Count a vote; return how many the choice has."""
        if sum(self.counts.values()) < self._most:
            self.counts[choice] = self.counts.get(choice, 0) + 1
        return self.counts.get(choice, 0)
