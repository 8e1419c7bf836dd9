"""Every test here is one of the suite that `-m hostile` names."""

from pathlib import Path

import pytest

_FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the attacks."""
    for item in items:
        if _FOLDER in item.path.parents:
            item.add_marker(pytest.mark.hostile)
