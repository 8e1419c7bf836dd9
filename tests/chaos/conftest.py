"""The storms' length, their seed, and their counts at the end of the run."""

import os
import random

import pytest


def _is_long(config: pytest.Config) -> bool:
    return str(config.getoption("-m")).strip() == "chaos"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for the long form only, which is asked for by `-m chaos`."""
    if not _is_long(config):
        left_out = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the storms counted."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties:
                if name == "counts":
                    terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {value}")


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How often a storm comes over a site."""
    return 4 if _is_long(request.config) else 1


@pytest.fixture
def seed() -> int:
    """What decides all chances; CHAOS_SEED=N gives the same ones again."""
    seed = int(os.environ.get("CHAOS_SEED") or random.randrange(1_000_000))
    print(f"The same chances again: CHAOS_SEED={seed}")  # pytest shows it if the test fails
    return seed
