"""The outcome of a check, in words for the person who has to fix the site."""

from dataclasses import dataclass

OK, FAILED, SKIPPED = "ok", "FAILED", "skipped"


class Failure(Exception):  # noqa: N818 - the site is wrong, not this program
    """A check found something wrong: what it is, why it matters, and what to do about it."""

    def __init__(self, seen: str, *, why: str, do: str) -> None:
        super().__init__(seen)
        self.seen = seen
        self.why = why
        self.do = do


class Skip(Exception):  # noqa: N818 - nothing is wrong
    """A check does not apply here; the text says why."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one check, with a sentence about it."""

    part: str
    check: str
    outcome: str
    seen: str
    why: str = ""
    do: str = ""
