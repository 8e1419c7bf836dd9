"""Endings in an SQLite file, which several processes can share."""

import sqlite3
from pathlib import Path

from functions.contract.setting import StartError
from functions.model.endings import oldest


class SQLiteEndings:
    """Endings in a file."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("CREATE TABLE IF NOT EXISTS endings (visitor PRIMARY KEY, at REAL)")
        except (OSError, sqlite3.Error) as error:
            raise StartError(f"The endings in {path} cannot be opened: {error}.") from error

    def put(self, visitor: str, at: float) -> None:
        """Record that all sessions of a visitor that began before a time have ended."""
        self._db.execute("DELETE FROM endings WHERE at < ?", (oldest(),))
        self._db.execute("REPLACE INTO endings VALUES (?, ?)", (visitor, at))

    def get(self, visitor: str) -> float:
        """Return the time recorded for a visitor; 0 if there is none."""
        found = self._db.execute("SELECT at FROM endings WHERE visitor = ?", (visitor,)).fetchone()
        return float(found[0]) if found else 0.0

    def all(self) -> dict[str, float]:
        """Return the recorded times by visitor."""
        return dict(self._db.execute("SELECT visitor, at FROM endings WHERE at > ?", (oldest(),)))

    def close(self) -> None:
        """Close the file."""
        self._db.close()
