"""The long form of the slow suites: `-m chaos` and `-m hostile` run it, nothing else does."""

import pytest

SUITES = ("chaos", "hostile")


def is_long(config: pytest.Config) -> bool:
    """Tell if a slow suite was asked for by its name."""
    return str(config.getoption("-m")).strip() in SUITES
