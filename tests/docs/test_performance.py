"""docs/performance.md shows exactly the published run."""

from scripts.commands.bench.published import FIGURES, PAGE, written
from scripts.commands.bench.report import Report


def test_published_run() -> None:
    """The page matches the stored figures, as `scripts/bench --publish` would write it."""
    page = PAGE.read_text("utf-8")
    report = Report.read(FIGURES)
    assert page == written(page, report), "run python -m scripts.commands.bench.published"
    assert report.date in page


def test_page_is_replaced() -> None:
    """A new run's figures replace the former ones."""
    page = PAGE.read_text("utf-8")
    report = Report.read(FIGURES)
    report.date = "2030-01-01"
    again = written(page, report)
    assert "2030-01-01" in again
    assert again.count("```text") == 1
    assert again.startswith(page.partition("```text")[0])
