"""The cache of rooms saves reads, and never makes a page stale."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from functions.model import room_cache
from functions.model.room_cache import RoomCache
from functions.model.room_log import PAGE, RoomState
from functions.model.sqlite_room_log import SQLiteRoomLog


class CountingLog(SQLiteRoomLog):
    """A room log that records how many messages each read returned."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.read: list[int] = []

    def state(self, room: str, after: int = 0) -> RoomState:
        state = super().state(room, after)
        self.read.append(len(state.messages))
        return state

    def say(self, count: int, room: str = "lobby") -> None:
        for _ in range(count):
            number = self.append(room, id="next", author="a", name="Ann", text="").message.seq
            with self._writing() as db:  # so that the id can be used again
                db.execute("UPDATE message SET id = ? WHERE id = 'next'", (f"m{number}",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rooms.sqlite3"


@pytest.fixture
def log(path: Path) -> Iterator[CountingLog]:
    log = CountingLog(path)
    yield log
    log.close()


def test_only_new_messages_are_read(log: CountingLog) -> None:
    """Every state equals the log's, but each message is read only once."""
    pages = RoomCache(log)
    for new in (0, 3, 0, PAGE - 5, 10, PAGE, PAGE + 7):
        log.say(new)
        assert pages.state("lobby").messages == log.latest("lobby")
    assert log.read == [0, 3, 0, PAGE - 5, 10, PAGE, PAGE]


def test_text_is_never_stale(log: CountingLog) -> None:
    """The current text is read every time, because it changes."""
    pages = RoomCache(log)
    for text in ("", "he", "hello"):
        log.keep_text("lobby", text)
        assert pages.state("lobby").text == text


def test_deleted_messages_disappear_within_a_minute(
    log: CountingLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app deletes no messages, but the site's operator may have to."""
    now = 1000.0
    monkeypatch.setattr("functions.model.room_cache.time.monotonic", lambda: now)
    pages = RoomCache(log)
    log.say(3)
    pages.state("lobby")
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM message WHERE seq = 2")
    database.close()
    now += 61
    assert [message.seq for message in pages.state("lobby").messages] == [1, 3]


def test_cache_keeps_the_rooms_read_last(log: CountingLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache's size is limited in bytes, whatever the number of rooms."""
    monkeypatch.setattr(room_cache, "_REMEMBERED", 4_000)  # two rooms with a message each
    pages = RoomCache(log)
    for room in ("a", "b", "c"):
        log.say(1, room)
    for room in ("a", "b", "a", "c", "a", "b"):
        pages.state(room)
    assert log.read == [1, 1, 0, 1, 0, 1]
