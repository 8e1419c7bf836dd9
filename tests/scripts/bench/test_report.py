"""The report: its table, its file, its chart."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from scripts.commands.bench import chart
from scripts.commands.bench.duel import DUELS
from scripts.commands.bench.figures import Figures
from scripts.commands.bench.report import Report
from scripts.commands.bench.table import TIMES, render


@pytest.fixture
def report(figures: Figures) -> Report:
    """A run's results."""
    versions = dict.fromkeys(("socket.io", "node", "python-socketio", "aiohttp"), "1.2.3")
    return Report(
        figures=figures,
        plan={"rounds": 3},
        conditions={"deflate": True},
        machine={"processor": "A", "cores": "2", "kernel": "6", "python": "3"},
        versions=versions,
        date="2026-11-23",
        foreign=[0.5],
        left_out=["stock: it was not there."],
        duels={DUELS[-1].name: 1.25},
        function={"function-cold": 250.0, "function-zip": 500_000},
        imports={"jinja2": 30.0},
    )


def test_the_table_shows_ratios_targets_and_doubts(report: Report) -> None:
    """The table shows figures with ratios and targets, and notes on their reliability."""
    text = render(report)
    row = next(line for line in text.splitlines() if line.startswith("broadcast to 1,000"))
    assert row.split()[-6:] == ["12.0", "5.00", f"{TIMES}0.42", "≤", "0.65", "met"]
    duel = next(line for line in text.splitlines() if "guarded / fast" in line)
    assert duel.split()[-4:] == [f"{TIMES}1.25", "≤", "1.10", "missed"]
    assert "jinja2 30.0" in text
    assert "Left out: stock: it was not there." in text
    assert "repeat this on a quiet machine" in text


def test_the_table_has_a_note_on_a_slow_machine(report: Report) -> None:
    """If Next.js starts slowly, the table says that pages are slower too."""
    report.versions["next"] = "16"
    for milliseconds, told in ((1_400.0, True), (600.0, False)):
        report.function["other-cold"] = milliseconds
        assert ("2.00 times as long" in render(report)) == told


def test_a_report_survives_its_file(report: Report, tmp_path: Path) -> None:
    """A report is the same after it was written and read."""
    report.write(tmp_path / "figures.json")
    assert render(Report.read(tmp_path / "figures.json")) == render(report)


def test_the_chart_is_an_image_with_words(report: Report) -> None:
    """The chart is well-formed SVG with a bar for each figure, and a description."""
    image = ElementTree.fromstring(chart.render(report))
    bars = image.findall(".//{http://www.w3.org/2000/svg}rect")
    assert [bar.get("class") for bar in bars] == ["fast", "node"] * 3
    assert "0.42 times" in image.get("aria-label", "")
