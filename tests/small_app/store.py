"""What the small app keeps: votes, in memory, and the setting that says how many it may."""

from functions.contract.setting import Setting, StartError


def parse_most(text: str) -> int:
    """Return the most votes; raise ValueError, to be read after the setting's name."""
    if not text.isdecimal():
        raise ValueError(f"must be a whole number, not {text!r}")
    return int(text)


settings = [
    Setting("MOST_VOTES", "how many votes there may be", parse_most, defaults={"host": "100"}),
    Setting("GREETING", "how the page greets", halves=("function",), development="{data}: hello"),
]


class Votes:
    """Votes by choice; for none at all it cannot be opened."""

    def __init__(self, most: int) -> None:
        if not most:
            raise StartError("A poll without votes is none. Set MOST_VOTES.")
        self._most = most
        self.counts: dict[str, int] = {}

    def add(self, choice: str) -> int:
        """Count a vote; return how many the choice has."""
        if sum(self.counts.values()) < self._most:
            self.counts[choice] = self.counts.get(choice, 0) + 1
        return self.counts.get(choice, 0)
