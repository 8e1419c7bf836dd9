"""Posts: the messages in rooms, numbered without gaps, in one SQLite file."""

import sqlite3
import threading
import time
import weakref
from pathlib import Path
from typing import Any, NamedTuple

from functions.contract.setting import StartError

PAGE = 50  # posts that a new client gets
BATCH = 200  # posts in one answer
MAX_TEXT = 2_000  # characters of a post, and of a draft
MAX_ID = 64  # characters of a post's id

_COLUMNS = "room, seq, id, author, name, text, at"
_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS post (
    room, seq, id, author, name, text, at, PRIMARY KEY (room, seq), UNIQUE (room, id)
);
CREATE TABLE IF NOT EXISTS draft (room PRIMARY KEY, text);
"""


class Post(NamedTuple):
    """One post; `at` is in milliseconds since 1970, UTC."""

    room: str
    seq: int
    id: str
    author: str
    name: str
    text: str
    at: int


class Posts:
    """Posts and drafts by room. Calls raise sqlite3.Error if the file cannot be used."""

    def __init__(self, path: str) -> None:
        """Open a file, which processes may share; may raise StartError."""
        self._lock = threading.Lock()
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                path, timeout=10, isolation_level=None, check_same_thread=False
            )
            try:
                _prepare(self._db)
            except BaseException:
                self._db.close()
                raise
        except (OSError, sqlite3.Error) as error:
            raise StartError(f"The posts in {path} cannot be opened: {error}.") from None
        weakref.finalize(self, self._db.close)  # pages do not close it

    def add(self, room: str, id_: str, author: str, name: str, text: str) -> tuple[Post, bool]:
        """Store a post as the room's next; return the one with that id, and whether it is new."""
        at = time.time_ns() // 1_000_000
        with self._lock, self._db as db:
            db.execute("BEGIN IMMEDIATE")
            if found := _posts(db, "room = ? AND id = ?", room, id_):
                return found[0], False
            last = db.execute("SELECT max(seq) FROM post WHERE room = ?", (room,)).fetchone()[0]
            post = Post(room, (last or 0) + 1, id_, author, name, text, at)
            db.execute(f"INSERT INTO post ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", post)
            return post, True

    def latest(self, room: str, limit: int = PAGE) -> list[Post]:
        """Return a room's last posts, oldest first."""
        with self._lock:
            return _posts(self._db, "room = ? ORDER BY seq DESC LIMIT ?", room, limit)[::-1]

    def after(self, room: str, seq: int, limit: int = BATCH) -> list[Post]:
        """Return the first posts that came after one, oldest first."""
        with self._lock:
            return _posts(self._db, "room = ? AND seq > ? ORDER BY seq LIMIT ?", room, seq, limit)

    def draft(self, room: str) -> str:
        """Return a room's draft; empty if there is none."""
        with self._lock:
            found = self._db.execute("SELECT text FROM draft WHERE room = ?", (room,)).fetchone()
        return found[0] if found else ""

    def keep(self, drafts: dict[str, str]) -> None:
        """Store drafts by room."""
        with self._lock, self._db as db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("REPLACE INTO draft (room, text) VALUES (?, ?)", list(drafts.items()))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def _posts(db: sqlite3.Connection, condition: str, *values: Any) -> list[Post]:
    found = db.execute(f"SELECT {_COLUMNS} FROM post WHERE {condition}", values)
    return list(map(Post._make, found))


def _prepare(db: sqlite3.Connection) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            db.executescript(_SCHEMA)
            return
        except sqlite3.OperationalError as error:
            # Another process is preparing the same new file, and SQLite does not wait for that.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
