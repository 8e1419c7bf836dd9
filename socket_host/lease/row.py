"""The row: the shared state of the lease, and the interface of its stores."""

from typing import NamedTuple, Protocol


class LeaseError(Exception):
    """The lease cannot be read or written at the moment; the message says why."""


class Row(NamedTuple):
    """Who holds the lease; no host if `owner` is empty.

    `number` increases each time the lease is taken, and `beat` each time it is renewed.
    """

    owner: str
    number: int
    beat: int


class LeaseStore(Protocol):
    """Stores the row. Its methods block, and raise LeaseError."""

    def read(self) -> Row | None:
        """Return the current row; None if no host has ever held the lease."""

    def replace(self, seen: Row | None, new: Row) -> bool:
        """Write `new` if the row is still `seen`; return whether it was."""

    def close(self) -> None:
        """Close connections and files."""
