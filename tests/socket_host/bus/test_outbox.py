"""The outbox keeps its order and limits; SeenMessages recognises duplicates."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socket_host.bus.outbox import Entry, Outbox
from socket_host.bus.seen_messages import SeenMessages
from tests.kit.hosts import PATIENCE


def entry(number: int, size: int = 1) -> Entry:
    return Entry(str(number), b"x" * size)


def numbers(entries: list[Entry]) -> list[int]:
    return [int(entry.message_id) for entry in entries]


async def test_batches_have_both_limits() -> None:
    """A batch is limited in messages and in bytes, but has at least one message."""
    outbox = Outbox()
    for number, size in enumerate((1, 1, 1, 50, 60, 200, 1)):
        outbox.add(entry(number, size))
    batches = []
    while outbox:
        batches.append(numbers(await outbox.take(3, size=100)))
        outbox.settle([])
    assert batches == [[0, 1, 2], [3], [4], [5], [6]]


async def test_unsent_comes_first() -> None:
    """Unsent entries are taken again first, in order."""
    outbox = Outbox()
    for number in range(5):
        outbox.add(entry(number))
    batch = await outbox.take(4)
    outbox.settle([batch[1], batch[3]])
    assert numbers(await outbox.take(10)) == [1, 3, 4]


async def test_sent_ignores_later_entries() -> None:
    """`sent` waits for the current entries, and not for later ones."""
    outbox = Outbox()
    await outbox.sent()  # it is empty
    for number in range(3):
        outbox.add(entry(number))
    waiting = asyncio.create_task(outbox.sent())
    await asyncio.sleep(0)
    outbox.add(entry(3))
    batch = await outbox.take(3)
    outbox.settle(batch[2:])
    await asyncio.sleep(0)
    assert not waiting.done()
    await outbox.take(1)
    outbox.add(entry(4))
    outbox.settle(())
    await asyncio.wait_for(waiting, PATIENCE)
    assert len(outbox) == 2


async def test_sent_ends_when_entries_are_dropped() -> None:
    """`sent` does not wait for dropped entries, and may be cancelled."""
    outbox = Outbox(count=1)
    outbox.add(entry(0))
    gone, waiting = [asyncio.create_task(outbox.sent()) for _ in "ab"]
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    outbox.add(entry(1))
    outbox.settle(())
    await asyncio.wait_for(waiting, PATIENCE)


@pytest.mark.parametrize("limits", [{"count": 3}, {"size": 30}])
async def test_oldest_are_dropped(limits: dict[str, int]) -> None:
    """Beyond either limit the oldest entries, including unsent ones, are dropped and counted."""
    outbox = Outbox(**limits)
    assert [outbox.add(entry(number, 10)) for number in range(4)] == [True, True, True, False]
    batch = await outbox.take(2)
    assert [outbox.add(entry(number, 10)) for number in (4, 5, 6)] == [True, True, False]
    outbox.settle(batch)
    assert numbers(await outbox.take(10)) == [4, 5, 6]
    assert outbox.dropped == 4


async def test_empty_means_sent() -> None:
    """`empty` also waits for entries that are being sent."""
    outbox = Outbox()
    await outbox.empty()
    outbox.add(entry(1))
    waiting = asyncio.create_task(outbox.empty())
    batch = await outbox.take(1)
    await asyncio.sleep(0)
    assert not waiting.done()
    assert len(outbox) == 1
    outbox.settle(batch)
    await asyncio.sleep(0)
    assert not waiting.done()
    await outbox.take(1)
    outbox.settle([])
    await asyncio.wait_for(waiting, PATIENCE)


async def test_idle_outbox_is_emptied_at_once() -> None:
    """Entries added while nothing is being sent go to the taker; others wait."""
    outbox = Outbox()
    taken: list[list[int]] = []

    def take() -> bool:
        taken.append(numbers(outbox.take_now(10)))
        return True

    outbox.taker = take
    outbox.add(entry(1))
    assert taken == [[1]]
    outbox.add(entry(2))
    outbox.add(entry(3))
    waiting = asyncio.create_task(outbox.take(10))
    await asyncio.sleep(0)
    assert (taken, waiting.done()) == ([[1]], False)
    outbox.settle([])
    assert numbers(await waiting) == [2, 3]
    outbox.settle([])
    outbox.add(entry(4))
    assert taken == [[1], [4]]


async def test_what_the_taker_leaves_can_be_waited_for() -> None:
    """A taker that takes nothing leaves the entries and later ones in order."""
    outbox = Outbox()
    outbox.taker = lambda: False
    outbox.add(entry(1))
    outbox.taker = lambda: pytest.fail("a later entry would overtake the first")
    outbox.add(entry(2))
    assert numbers(await outbox.take(10)) == [1, 2]


@given(st.lists(st.integers(0, 60), max_size=200), st.integers(1, 10**12))
def test_each_message_is_new_once(arrivals: list[int], start: int) -> None:
    """In whatever order a sender's messages and duplicates arrive, each is new exactly once."""
    memory, had = SeenMessages(), set[int]()
    for number in arrivals:
        assert memory.is_new(f"sender:{start + number}") is (number not in had)
        had.add(number)


def test_old_messages() -> None:
    """A message far behind its sender's newest counts as seen; one of an unknown sender is new."""
    memory = SeenMessages()
    assert memory.is_new("a:5000")
    assert not memory.is_new("a:3000")
    assert memory.is_new("a:4000")
    assert not memory.is_new("a:4000")
    assert memory.is_new("b:3000")
    assert memory.is_new(None)
    assert memory.is_new(None)


def test_seen_messages_are_bounded() -> None:
    """The senders that have been silent longest are forgotten."""
    memory = SeenMessages(senders=10)
    assert memory.is_new("busy:1")
    for number in range(100):
        assert memory.is_new(f"page{number}:1")
        assert memory.is_new(f"busy:{number + 2}")
    assert not memory.is_new("busy:50")
    assert not memory.is_new("page99:1")
    assert len(memory._had) == 10


@pytest.mark.parametrize("message_id", ["", "a", "a:", "a:b", ":"])
def test_malformed_ids_are_refused(message_id: str) -> None:
    """A malformed id raises ValueError."""
    with pytest.raises(ValueError, match="invalid literal"):
        SeenMessages().is_new(message_id)
