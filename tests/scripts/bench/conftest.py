"""A folder for compiled programs, and figures as a run would measure them."""

from pathlib import Path

import pytest

from scripts.commands.bench.figures import Figures


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for compiled programs, shared by all tests."""
    return tmp_path_factory.mktemp("bench")


@pytest.fixture
def figures() -> Figures:
    """Figures of two servers, in three rounds."""
    figures = Figures()
    for node, fast in ((10.0, 5.0), (20.0, 4.0), (12.0, 9.0)):
        figures.add("node", {"broadcast-1000": node, "memory": node, "memory-churned": node * 4})
        figures.add("fast", {"broadcast-1000": fast, "memory": fast, "memory-churned": fast})
    figures.add("fast", {"broadcast-1000-lost": 2})
    return figures
