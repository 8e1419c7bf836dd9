"""The row: what all hosts see of the lease, and what keeps it."""

from typing import NamedTuple, Protocol


class LeaseError(Exception):
    """The lease cannot be read or written now; the text says why."""


class Row(NamedTuple):
    """Who holds the lease: nobody if `owner` is empty.

    `number` is larger for each who takes it. `beat` is larger each time the owner renews it.
    """

    owner: str
    number: int
    beat: int


class LeaseStore(Protocol):
    """Keeps the row. Its calls block, and raise LeaseError."""

    def read(self) -> Row | None:
        """Return the row as it is now; None before anybody has held the lease."""

    def replace(self, seen: Row | None, new: Row) -> bool:
        """Write a row if it is still as it was seen; tell if that was so."""

    def close(self) -> None:
        """Let go of what reading has opened."""
