"""The number of examples: some in the suite, many with `-m fuzz`."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, settings

_LONG = 40  # times as many examples

long = False  # set before the tests are collected


def examples(count: int) -> Callable[[Any], Any]:
    """Return a decorator for this many examples: fixed ones, or in the long form, new ones."""
    phases = [phase for phase in Phase if phase is not Phase.explain]
    return settings(
        max_examples=count * _LONG if long else count,
        derandomize=not long,
        database=None,
        deadline=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
