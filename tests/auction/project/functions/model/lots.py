"""The lots: what is sold, and who has bid most."""

from pathlib import Path
from typing import NamedTuple, Protocol


class LotsError(Exception):
    """The lots cannot be reached just now; nothing was stored, and trying again does no harm."""


class Lot(NamedTuple):
    """A lot: what was bid for it, by whom and when, and whether it is sold."""

    name: str
    amount: int
    bidder: str
    at: float
    sold: bool


class Lots(Protocol):
    """What lots can do, wherever they are kept. Every call may raise LotsError."""

    def offer(self, name: str, reserve: int, at: float) -> bool:
        """Add a lot; False if there is one of that name."""
        ...

    def bid(self, name: str, amount: int, bidder: str, at: float) -> bool:
        """Store a bid; False if there is a higher one, or the lot is sold, or there is none."""
        ...

    def sell(self, lot: Lot, number: int) -> bool:
        """End a lot as it is known; False if it is not so any more, or somebody later has been.

        `number` is that of the host's lease: who writes with a lower one than the last is late.
        """
        ...

    def withdraw(self, name: str) -> None:
        """Remove a lot."""
        ...

    def all(self) -> list[Lot]:
        """Return every lot, by name."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


def parse_store(setting: str) -> str:
    """Return a setting that is fine; raise ValueError, to be read after its name, if it is not."""
    kind, _, rest = setting.partition(":")
    if kind in ("sqlite", "dynamodb") and rest:
        return setting
    raise ValueError(f"must be sqlite:PATH or dynamodb:TABLE, not {setting!r}")


def open_lots(setting: str) -> Lots:
    """Open the lots that a setting names."""
    kind, _, rest = setting.partition(":")
    if kind == "dynamodb":
        # Here, because boto3 takes longer to import than everything else in a page.
        from functions.model.dynamodb_lots import DynamoDBLots

        return DynamoDBLots(rest)
    from functions.model.sqlite_lots import SQLiteLots

    return SQLiteLots(Path(rest))
