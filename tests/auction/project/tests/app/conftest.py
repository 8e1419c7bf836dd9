"""Fixtures of the auction's tests."""

from collections.abc import Iterator

import pytest

from tests.kit.aws import aws


@pytest.fixture(scope="session")
def cloud() -> Iterator[None]:
    """A stand-in for AWS."""
    with aws():
        yield
