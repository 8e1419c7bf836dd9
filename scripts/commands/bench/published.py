"""The published figures: docs/performance.md shows the run that figures.json holds.

`python -m scripts.commands.bench.published` writes the page again, after the table has changed.
"""

import re
from pathlib import Path

from scripts import ROOT
from scripts.commands.bench.report import Report
from scripts.commands.bench.table import render

FIGURES = Path(__file__).parent / "figures.json"
PAGE = ROOT / "docs" / "performance.md"

_BLOCK = re.compile(
    r"(<!-- scripts/bench --publish writes this -->\n).*?(<!-- as far as here -->\n)", re.DOTALL
)


def written(page: str, report: Report) -> str:
    """Return the page with the figures of a report in place of the former ones."""
    block = f"```text\n{render(report)}\n```\n"
    return _BLOCK.sub(lambda found: found[1] + block + found[2], page)


def write(report: Report) -> None:
    """Have docs/performance.md show a report."""
    PAGE.write_text(written(PAGE.read_text("utf-8"), report), "utf-8")


if __name__ == "__main__":
    write(Report.read(FIGURES))
