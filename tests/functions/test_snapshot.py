"""Copies of the function that are restored from one snapshot differ."""

import random

import pytest

import functions.app


def test_random_numbers() -> None:
    """They draw different random numbers, although they start from the same state."""
    runner = pytest.importorskip("awslambdaric.lambda_runtime_hooks_runner")
    assert functions.app.handler
    state = random.getstate()
    drawn = set()
    try:
        for _ in range(3):
            random.setstate(state)
            runner.run_after_restore()
            drawn.add(random.random())
    finally:
        random.setstate(state)
    assert len(drawn) == 3
