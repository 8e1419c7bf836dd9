"""What a check comes to, in words for whoever has to put the site right."""

from dataclasses import dataclass

OK, FAILED, SKIPPED = "ok", "FAILED", "skipped"


class Failure(Exception):  # noqa: N818 - it is the site that is wrong, not this program
    """A check found something wrong: what was seen, why that matters, and what to do about it."""

    def __init__(self, seen: str, *, why: str, do: str) -> None:
        super().__init__(seen)
        self.seen = seen
        self.why = why
        self.do = do


class Skip(Exception):  # noqa: N818 - nothing is wrong
    """A check does not apply here; the text says why."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one check, with one sentence of what was seen."""

    part: str
    check: str
    outcome: str
    seen: str
    why: str = ""
    do: str = ""
