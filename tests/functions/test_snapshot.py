"""Copies of the function that Lambda restores from one snapshot do not do the same."""

import random

import pytest

import functions.app


def test_random_numbers() -> None:
    """They draw different random numbers, though the snapshot has one state for all."""
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
