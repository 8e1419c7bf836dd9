"""Figures: medians of the measured values, ratios to Node's, and targets."""

import pytest

from scripts.commands.bench.figures import Figures
from scripts.commands.bench.measures import find
from scripts.commands.bench.table import number


def test_a_figure_is_the_median_of_its_rounds(figures: Figures) -> None:
    """One disturbed round does not change a figure."""
    assert figures.median("broadcast-1000", "node") == 12
    assert figures.median("broadcast-1000", "stock") is None


def test_a_ratio_is_of_medians_to_nodes(figures: Figures) -> None:
    """A ratio compares with Node's median of the same measure, or of its reference."""
    assert figures.ratio("broadcast-1000", "fast") == 5 / 12
    assert figures.ratio("memory-churned", "fast", "memory") == 5 / 12
    assert figures.ratio("handshake", "fast") is None


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("broadcast-100", 0.85),
        ("broadcast-1000", 0.65),
        ("broadcast-5000", 0.65),
        ("burst-1000", 0.20),
        ("disconnect-10000", 0.60),
        ("disconnect-2000", None),
        ("handshake", 0.40),
        ("bus-delivery-1000", 0.75),
        ("bus-message-5", 1.00),
        ("bus-p99-1000", 1.00),
    ],
)
def test_a_measure_knows_its_target(name: str, target: float | None) -> None:
    """Targets belong to a measure at its size."""
    measure = find(name)
    assert measure
    assert measure.target == target


@pytest.mark.parametrize(
    ("value", "text"), [(0.123, "0.12"), (9.876, "9.88"), (12.34, "12.3"), (1234.5, "1,234")]
)
def test_a_figure_has_three_digits(value: float, text: str) -> None:
    """Figures have about three significant digits."""
    assert number(value) == text
