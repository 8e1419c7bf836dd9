"""Lots keep the highest bid and are sold once, in either store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from functions.model.lots import Lot, Lots, open_lots
from tests.kit.aws import make_table


@pytest.fixture(params=["sqlite", "dynamodb"])
def lots(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lots]:
    place = str(tmp_path / "lots.sqlite3")
    if request.param == "dynamodb":
        request.getfixturevalue("cloud")
        place = make_table("Lots")
    lots = open_lots(f"{request.param}:{place}")
    yield lots
    lots.close()


def test_bids(lots: Lots) -> None:
    """Only a higher bid counts, and only for an existing lot."""
    assert lots.offer("harp", 10, 1.0)
    assert not lots.offer("harp", 20, 2.0)
    assert not lots.bid("harp", 10, "ann", 3.0)
    assert lots.bid("harp", 11, "ann", 3.0)
    assert not lots.bid("drum", 11, "ann", 3.0)
    assert lots.all() == [Lot("harp", 11, "ann", 3.0, False)]
    lots.withdraw("harp")
    assert lots.all() == []


def test_sold_once(lots: Lots) -> None:
    """A late bid or a host whose lease has ended changes nothing."""
    lots.offer("harp", 0, 1.0)
    (seen,) = lots.all()
    assert lots.bid("harp", 5, "ann", 2.0)
    assert not lots.sell(seen, 7)
    (seen,) = lots.all()
    assert lots.sell(seen, 7)
    assert not lots.sell(seen, 8)
    assert not lots.bid("harp", 6, "bob", 3.0)


def test_number_of_an_old_lease(lots: Lots) -> None:
    """A write with a lower lease number than the last one is refused."""
    lots.offer("harp", 0, 1.0)
    lots.bid("harp", 5, "ann", 2.0)
    (seen,) = lots.all()
    lots.sell(seen, 7)
    assert not lots.sell(seen, 6)
