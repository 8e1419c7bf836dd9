"""Of values in quick succession only the latest is sent, and the last one always."""

import asyncio

import pytest

from socket_host import latest
from socket_host.latest import Latest
from tests.kit.waiting import until


@pytest.fixture(autouse=True)
def _short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latest, "PAUSE", 0.05)


async def test_first_and_last_are_sent() -> None:
    """The first value is sent at once, then the last one after a pause, for each key."""
    sent: list[int] = []
    values: Latest[int] = Latest(sent.append, lambda value: 0)
    for value in range(100):
        values.put("a", value)
        values.put("b", -value)
    assert sent == [0, 0]
    await until(lambda: len(sent) == 4)
    assert sorted(sent) == [-99, 0, 0, 99]
    await until(lambda: not values._pauses)
    assert values._values == {}
    assert len(sent) == 4


async def test_value_waits_as_long_as_it_has_to() -> None:
    """A value that has to wait is replaced by later ones until it is sent."""
    sent: list[int] = []
    busy = True
    values: Latest[int] = Latest(sent.append, lambda value: 0.02 if busy else 0)
    values.put("a", 1)
    values.put("a", 2)
    await asyncio.sleep(0.2)
    assert sent == []
    busy = False
    await until(lambda: sent == [2])


async def test_flush_leaves_nothing() -> None:
    """`flush` sends waiting values at once."""
    sent: list[int] = []
    values: Latest[int] = Latest(sent.append, lambda value: 0)
    values.put("a", 1)
    values.put("a", 2)
    values.flush()
    assert sent == [1, 2]
    assert (values._values, values._pauses) == ({}, {})
