"""Marks every test here as one of the suite `-m fuzz`."""

from pathlib import Path

import pytest

from tests.fuzz import effort
from tests.long_form import is_long

_FOLDER = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    """Set the number of examples, before the tests are collected."""
    effort.long = is_long(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the fuzzers."""
    for item in items:
        if _FOLDER in item.path.parents:
            item.add_marker(pytest.mark.fuzz)
