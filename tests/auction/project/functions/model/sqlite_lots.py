"""Lots in an SQLite file, which several processes can share."""

import sqlite3
from pathlib import Path
from typing import Any

from functions.model.lots import Lot

_TABLE = (
    "CREATE TABLE IF NOT EXISTS lots (name TEXT PRIMARY KEY, amount INTEGER, bidder TEXT, at REAL,"
    " sold INTEGER DEFAULT 0, fence INTEGER DEFAULT 0)"
)


class SQLiteLots:
    """Lots in a file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(_TABLE)

    def offer(self, name: str, reserve: int, at: float) -> bool:
        """Add a lot; return False if there is one with that name."""
        return self._changed(
            "INSERT OR IGNORE INTO lots (name, amount, bidder, at) VALUES (?, ?, '', ?)",
            (name, reserve, at),
        )

    def bid(self, name: str, amount: int, bidder: str, at: float) -> bool:
        """Store a bid; return False if it is not the highest, or the lot is sold or missing."""
        return self._changed(
            "UPDATE lots SET amount = ?, bidder = ?, at = ?"
            " WHERE name = ? AND amount < ? AND NOT sold",
            (amount, bidder, at, name, amount),
        )

    def sell(self, lot: Lot, number: int) -> bool:
        """Sell a lot; return False if it has changed, or the fencing number is too low."""
        return self._changed(
            "UPDATE lots SET sold = 1, fence = ?"
            " WHERE name = ? AND amount = ? AND NOT sold AND fence <= ?",
            (number, lot.name, lot.amount, number),
        )

    def withdraw(self, name: str) -> None:
        """Remove a lot."""
        self._db.execute("DELETE FROM lots WHERE name = ?", (name,))

    def all(self) -> list[Lot]:
        """Return every lot, by name."""
        rows = self._db.execute("SELECT name, amount, bidder, at, sold FROM lots ORDER BY name")
        return [Lot(name, amount, by, at, bool(sold)) for name, amount, by, at, sold in rows]

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _changed(self, statement: str, values: tuple[Any, ...]) -> bool:
        return self._db.execute(statement, values).rowcount > 0
