"""The long form of the slow suites: `-m chaos`, `-m hostile`, `-m fuzz` run it, nothing else."""

import pytest

SUITES = ("chaos", "hostile", "fuzz")


def is_long(config: pytest.Config) -> bool:
    """Tell if a slow suite was asked for by its name."""
    return str(config.getoption("-m")).strip() in SUITES
