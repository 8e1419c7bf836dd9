"""The room log in one SQLite file, for one machine."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from functions.model.room_log import BATCH, PAGE, Appended, Message, RoomLogError, RoomState

# Seconds that an append waits for another process's append.
_BUSY_SECONDS = 10.0
_BUSY_PAUSE = 0.01  # seconds between tries, where SQLite itself does not wait


class SQLiteRoomLog:
    """A room log in one SQLite file, which several processes may share."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
                self._identity = _identity(path)
            except BaseException:
                self._db.close()
                raise
        except (OSError, sqlite3.Error) as error:
            raise RoomLogError(f"The room log {path} cannot be opened: {error}.") from error

    def _prepare(self) -> None:
        """Create the tables of a new file."""
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                self._db.executescript(_SCHEMA)
                return
            except sqlite3.OperationalError as error:
                # Another process is preparing the same new file, and SQLite does not wait for that.
                busy = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > deadline:
                    raise
                time.sleep(_BUSY_PAUSE)

    def append(self, room: str, *, id: str, author: str, name: str, text: str) -> Appended:  # noqa: A002 - the wire's word
        """Store a message as the room's next, or return the one already stored under `id`."""
        at = time.time_ns() // 1_000_000
        with self._writing() as db:
            row = db.execute(f"{_SELECT} WHERE room = ? AND id = ?", (room, id)).fetchone()
            if row is not None:
                return Appended(Message(*row), new=False)
            (last,) = db.execute(
                "SELECT coalesce(max(seq), 0) FROM message WHERE room = ?", (room,)
            ).fetchone()
            message = Message(room, last + 1, id, author, name, text, at)
            db.execute(f"INSERT INTO message ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", message)
        return Appended(message, new=True)

    def latest(self, room: str, limit: int = PAGE) -> list[Message]:
        """Return the room's last messages, oldest first."""
        with self._reading() as db:
            return _last(db, room, 0, limit)

    def state(self, room: str, after: int = 0) -> RoomState:
        """Return a room's state, without the messages up to the number `after`."""
        with self._reading() as db:
            return RoomState(_last(db, room, after, PAGE), _text(db, room))

    def after(self, room: str, seq: int, limit: int = BATCH) -> list[Message]:
        """Return the first messages that came after `seq`, oldest first."""
        with self._reading() as db:
            found = db.execute(
                f"{_SELECT} WHERE room = ? AND seq > ? ORDER BY seq LIMIT ?", (room, seq, limit)
            )
            return list(map(Message._make, found))

    def keep_text(self, room: str, text: str) -> None:
        """Store the room's current text: a draft, not yet a message."""
        with self._reading() as db:
            db.execute("REPLACE INTO current_text (room, text) VALUES (?, ?)", (room, text))

    def text(self, room: str) -> str:
        """Return the room's current text, or an empty string."""
        with self._reading() as db:
            return _text(db, room)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection for single statements, each its own transaction."""
        with self._lock:
            try:
                yield self._db
            except sqlite3.Error as error:
                raise RoomLogError(f"The room log cannot be used now: {error}.") from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection for one transaction of several statements."""
        with self._reading() as db:
            # IMMEDIATE takes the write lock before the first read, so that no other process can
            # read the same last number and use the same sequence number.
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                # A message written to a deleted file would be lost.
                if _identity(self._path) != self._identity:
                    raise RoomLogError(f"The room log {self._path} was removed: start again.")
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")


def _identity(path: Path) -> tuple[int, int] | None:
    """Return a file's device and inode; None if there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


_COLUMNS = "room, seq, id, author, name, text, at"  # the fields of Message, in their order
_SELECT = f"SELECT {_COLUMNS} FROM message"

# WAL lets pages read while the host appends. With FULL, an acked message survives a power cut.
_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS message (
    room TEXT NOT NULL,
    seq INTEGER NOT NULL,
    id TEXT NOT NULL,
    author TEXT NOT NULL,
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (room, seq),
    UNIQUE (room, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS current_text (room TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
"""


def _last(db: sqlite3.Connection, room: str, after: int, limit: int) -> list[Message]:
    found = db.execute(
        f"{_SELECT} WHERE room = ? AND seq > ? ORDER BY seq DESC LIMIT ?", (room, after, limit)
    )
    return list(map(Message._make, found))[::-1]


def _text(db: sqlite3.Connection, room: str) -> str:
    row = db.execute("SELECT text FROM current_text WHERE room = ?", (room,)).fetchone()
    return row[0] if row else ""
