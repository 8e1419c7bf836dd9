"""The storms' length, their seed, and their counts at the end of the run."""

import os
import random

import pytest

from tests.long_form import is_long


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How often a storm comes over a site."""
    return 4 if is_long(request.config) else 1


@pytest.fixture
def seed() -> int:
    """What decides all chances; CHAOS_SEED=N gives the same ones again."""
    seed = int(os.environ.get("CHAOS_SEED") or random.randrange(1_000_000))
    print(f"The same chances again: CHAOS_SEED={seed}")  # pytest shows it if the test fails
    return seed
