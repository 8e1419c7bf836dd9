"""The lease in a file, for hosts on one machine."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from socket_host.lease.row import LeaseError, Row

_WAIT_SECONDS = 1.0  # for another process to finish writing

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS lease (
        name TEXT PRIMARY KEY, owner TEXT NOT NULL, number INTEGER NOT NULL, beat INTEGER NOT NULL
    )
"""


class SqliteLease:
    """Stores the row in a SQLite file."""

    def __init__(self, path: str, name: str) -> None:
        self._path = path
        self._name = name

    def read(self) -> Row | None:
        """Return the current row."""
        with self._transaction() as database:
            return self._row(database)

    def replace(self, seen: Row | None, new: Row) -> bool:
        """Write `new` if the row is still `seen`; return whether it was."""
        with self._transaction() as database:
            if self._row(database) != seen:
                return False
            database.execute("REPLACE INTO lease VALUES (?, ?, ?, ?)", (self._name, *new))
            return True

    def close(self) -> None:
        """Do nothing: each call opens and closes the file."""

    def _row(self, database: sqlite3.Connection) -> Row | None:
        query = "SELECT owner, number, beat FROM lease WHERE name = ?"
        found = database.execute(query, (self._name,)).fetchone()
        return found and Row(*found)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            Path(self._path).parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(self._path, timeout=_WAIT_SECONDS, isolation_level=None)
            with contextlib.closing(database):
                database.execute("BEGIN IMMEDIATE")
                database.execute(_SCHEMA)
                yield database
                database.execute("COMMIT")
        except (OSError, sqlite3.Error) as error:
            raise LeaseError(f"{self._path}: {error}") from error
