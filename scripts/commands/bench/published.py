"""The published figures: docs/performance.md shows the run in figures.json.

`python -m scripts.commands.bench.published` updates the page after a change to the table's format.
"""

import re
from pathlib import Path

from scripts import ROOT
from scripts.commands.bench.report import Report
from scripts.commands.bench.table import render

FIGURES = Path(__file__).parent / "figures.json"
PAGE = ROOT / "docs" / "performance.md"

_BLOCK = re.compile(
    r"(<!-- scripts/bench --publish writes this -->\n).*?(<!-- end of the generated part -->\n)",
    re.DOTALL,
)


def written(page: str, report: Report) -> str:
    """Return the page with the figures replaced by a report's."""
    block = f"```text\n{render(report)}\n```\n"
    return _BLOCK.sub(lambda found: found[1] + block + found[2], page)


def write(report: Report) -> None:
    """Write a report's figures to docs/performance.md."""
    PAGE.write_text(written(PAGE.read_text("utf-8"), report), "utf-8")


if __name__ == "__main__":
    write(Report.read(FIGURES))
