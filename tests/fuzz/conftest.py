"""Every test here is one of the suite that `-m fuzz` names."""

from pathlib import Path

import pytest

from tests.fuzz import effort
from tests.long_form import is_long

_FOLDER = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    """Tell the tests, which are not collected yet, how hard to try."""
    effort.long = is_long(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the fuzzers."""
    for item in items:
        if _FOLDER in item.path.parents:
            item.add_marker(pytest.mark.fuzz)
