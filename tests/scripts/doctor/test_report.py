"""The report as a table, in a pipe and on a terminal."""

from scripts.commands.doctor.finding import FAILED, OK, Finding
from scripts.commands.doctor.report import Report

REPORT = Report(
    "http://a.test",
    [
        Finding("Pages", "page", OK, "All is well."),
        Finding("Pages", "csp", FAILED, "It is missing. " * 4, "It matters. " * 6, "Do this."),
    ],
    1.25,
)


def test_plain_table() -> None:
    """In a pipe, each sentence is one line, without colours, for grep."""
    lines = REPORT.to_text().splitlines()
    assert "  ok       page                 All is well." in lines
    assert any(line.strip() == "What to do: Do this." for line in lines)
    assert lines[-1] == "2 checks in 1.2 s: 1 ok, 1 FAILED, 0 skipped."


def test_table_on_a_terminal() -> None:
    """On a terminal the table fits its width, and outcomes have colours."""
    assert max(map(len, REPORT.to_text(width=80).splitlines())) <= 80
    assert "\x1b[1;31mFAILED" in REPORT.to_text(width=80, colour=True)
