"""The lots: what is for sale, and the highest bids."""

from pathlib import Path
from typing import NamedTuple, Protocol


class LotsError(Exception):
    """The lots cannot be reached now; nothing was stored, and a retry is harmless."""


class Lot(NamedTuple):
    """A lot: its highest bid, by whom and when, and whether it is sold."""

    name: str
    amount: int
    bidder: str
    at: float
    sold: bool


class Lots(Protocol):
    """A store of lots. Every call may raise LotsError."""

    def offer(self, name: str, reserve: int, at: float) -> bool:
        """Add a lot; return False if there is one with that name."""
        ...

    def bid(self, name: str, amount: int, bidder: str, at: float) -> bool:
        """Store a bid; return False if it is not the highest, or the lot is sold or missing."""
        ...

    def sell(self, lot: Lot, number: int) -> bool:
        """Sell a lot; return False if it has changed, or if `number` is too low.

        `number` is that of the host's lease: a host with a lower one than stored has lost it.
        """
        ...

    def withdraw(self, name: str) -> None:
        """Remove a lot."""
        ...

    def all(self) -> list[Lot]:
        """Return every lot, by name."""
        ...

    def close(self) -> None:
        """Close files and connections."""
        ...


def parse_store(setting: str) -> str:
    """Return a valid setting; raise ValueError, whose text follows the setting's name."""
    kind, _, rest = setting.partition(":")
    if kind in ("sqlite", "dynamodb") and rest:
        return setting
    raise ValueError(f"must be sqlite:PATH or dynamodb:TABLE, not {setting!r}")


def open_lots(setting: str) -> Lots:
    """Open the lots that a setting names."""
    kind, _, rest = setting.partition(":")
    if kind == "dynamodb":
        # Not at the top of the module: boto3 is slow to import.
        from functions.model.dynamodb_lots import DynamoDBLots

        return DynamoDBLots(rest)
    from functions.model.sqlite_lots import SQLiteLots

    return SQLiteLots(Path(rest))
