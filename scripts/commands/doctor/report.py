"""A report of the findings, as a table for people or as JSON for programs."""

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from scripts.commands.doctor.finding import FAILED, OK, SKIPPED, Finding

_COLOURS = {OK: "\x1b[32m", FAILED: "\x1b[1;31m", SKIPPED: "\x1b[2m"}
_PLAIN = "\x1b[0m"

_OUTCOME_WIDTH, _NAME_WIDTH = 9, 21  # columns
_INDENT = 2 + _OUTCOME_WIDTH + _NAME_WIDTH
_NARROW = _INDENT + 30  # columns; below that, wrapping makes it worse


@dataclass(frozen=True)
class Report:
    """The findings for an address, and how long the examination took."""

    address: str
    findings: Sequence[Finding]
    seconds: float

    @property
    def healthy(self) -> bool:
        """Whether nothing failed."""
        return not self._count(FAILED)

    def to_json(self) -> str:
        """Return the report as one JSON object."""
        return json.dumps(
            {
                "address": self.address,
                "healthy": self.healthy,
                "seconds": round(self.seconds, 2),
                "checks": [asdict(finding) for finding in self.findings],
            },
            indent=2,
        )

    def to_text(self, *, width: int | None = None, colour: bool = False) -> str:
        """Return the report as a table, with sentences wrapped if a width is given."""
        return "\n".join([self.address, *self._lines(width, colour), "", self._summary()])

    def _lines(self, width: int | None, colour: bool) -> Iterator[str]:
        part = ""
        for finding in self.findings:
            if finding.part != part:
                part = finding.part
                yield from ("", part)
            yield from _row(finding, width, colour)

    def _summary(self) -> str:
        counts = ", ".join(f"{self._count(o)} {o}" for o in (OK, FAILED, SKIPPED))
        return f"{len(self.findings)} checks in {self.seconds:.1f} s: {counts}."

    def _count(self, outcome: str) -> int:
        return sum(finding.outcome == outcome for finding in self.findings)


def _row(finding: Finding, width: int | None, colour: bool) -> Iterator[str]:
    outcome = f"{finding.outcome:<{_OUTCOME_WIDTH}}"
    if colour:
        outcome = _COLOURS[finding.outcome] + outcome + _PLAIN
    first, *rest = _wrapped(finding.seen, width)
    yield f"  {outcome}{finding.check:<{_NAME_WIDTH}}{first}"
    if finding.outcome == FAILED:
        rest += _wrapped(f"Why it matters: {finding.why}", width)
        rest += _wrapped(f"What to do: {finding.do}", width)
    yield from (" " * _INDENT + line for line in rest)


def _wrapped(sentence: str, width: int | None) -> list[str]:
    if width is None or width < _NARROW:
        return [sentence]
    return textwrap.wrap(sentence, width - _INDENT, break_long_words=False, break_on_hyphens=False)
