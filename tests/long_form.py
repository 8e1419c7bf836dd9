"""The long form of the slow suites, which only `-m chaos`, `-m hostile` and `-m fuzz` run."""

import pytest

SUITES = ("chaos", "hostile", "fuzz")


def is_long(config: pytest.Config) -> bool:
    """Whether a slow suite was selected by its name."""
    return str(config.getoption("-m")).strip() in SUITES
