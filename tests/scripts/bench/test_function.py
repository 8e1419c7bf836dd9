"""The function and its imports are measured."""

import dataclasses
from pathlib import Path

from scripts.commands.bench import function, imports
from tests.scripts.bench.tiny_plan import TINY


def test_the_function_is_measured_rendering_its_page(folder: Path) -> None:
    """The runtime client starts, and renders a first page and warm ones."""
    plan = dataclasses.replace(TINY, starts=1, pages=2)
    values = function.measure(plan, folder, spin=True, other=lambda: 0.5)
    assert set(values) == {
        "other-cold",
        "function-cold-ratio",
        "function-cold",
        "function-cold-cpu",
        "function-warm",
        "function-warm-cpu",
        "function-plain",
        "function-plain-cpu",
    }
    assert all(value > 0 for value in values.values())
    assert values["function-cold-ratio"] == values["function-cold"] / 500


def test_imports_are_summed_by_package() -> None:
    """A package's import time is that of its own modules, without other packages."""
    report = """import time: self [us] | cumulative | imported package
import time:       100 |        100 |   json.decoder
import time:       250 |       2350 | json
import time:      2000 |       2000 |   starlette
"""
    assert imports.parse(report) == {"starlette": 2.0, "json": 0.35}
