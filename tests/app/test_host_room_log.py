"""The host's room log: ordered, off the event loop, and writing current texts occasionally."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from functions.model.room_log import Appended
from functions.model.sqlite_room_log import SQLiteRoomLog
from socket_host.event_error import EventError
from socket_host.events import room_log
from socket_host.events.room_log import HostRoomLog
from tests.kit.hosts import PATIENCE
from tests.kit.waiting import until


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[HostRoomLog]:
    """A log that is stopped at the end."""
    log = HostRoomLog(f"sqlite:{tmp_path}/rooms.sqlite3")
    await log.start()
    yield log
    await log.stop()


def writes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The current texts that are written from now on."""
    written: list[tuple[str, str]] = []
    keep = SQLiteRoomLog.keep_text

    def note(self: SQLiteRoomLog, room: str, text: str) -> None:
        written.append((room, text))
        keep(self, room, text)

    monkeypatch.setattr(SQLiteRoomLog, "keep_text", note)
    return written


async def test_text_is_written_once_for_many_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However fast people type, a room's text is rarely written, but the last one always is."""
    monkeypatch.setattr(room_log, "KEEP_SECONDS", 0.05)
    written = writes(monkeypatch)
    log = HostRoomLog(f"sqlite:{tmp_path}/rooms.sqlite3")
    await log.start()
    for number in range(100):
        log.keep_text("den", f"text {number}")
        log.keep_text("hall", f"text {number}")
    await until(lambda: len(written) >= 2)
    assert written == [("den", "text 99"), ("hall", "text 99")]
    assert await log.text("den") == "text 99"
    log.keep_text("den", "last")
    await log.stop()
    assert written[2:] == [("den", "last")]


async def test_text_is_kept_through_an_outage(
    tmp_path: Path, log: HostRoomLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that could not be written is written later, unless there is a newer one."""
    monkeypatch.setattr(room_log, "KEEP_SECONDS", 0.01)
    database = log._sync._db  # type: ignore[attr-defined]
    await log._in_thread(lambda: database.execute("ALTER TABLE current_text RENAME TO gone"))
    log.keep_text("den", "old")
    log.keep_text("hall", "only")
    await until(lambda: log._away)
    with pytest.raises(EventError):
        await log.text("attic")
    await log._in_thread(lambda: database.execute("ALTER TABLE gone RENAME TO current_text"))
    with log._sync._lock:  # type: ignore[attr-defined]
        await until(lambda: log._waiting)
        log.keep_text("den", "new")  # while the old one is being written
    await until(lambda: not log._writing)
    other = SQLiteRoomLog(tmp_path / "rooms.sqlite3")
    assert (other.text("den"), other.text("hall")) == ("new", "only")
    other.close()


async def test_what_waits_is_bounded(log: HostRoomLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the log is slow, calls and texts beyond a limit are refused at once."""
    monkeypatch.setattr(room_log, "MAX_WAITING", 2)
    with log._sync._lock:  # type: ignore[attr-defined]
        waiting = [asyncio.create_task(log.latest("den")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(EventError) as refused:
            await log.latest("den")
        assert refused.value.retry
        for number in range(5):
            log.keep_text(f"room-{number}", "text")
        assert len(log._texts) == 2
    assert await asyncio.gather(*waiting) == [[], []]


async def test_busy_room_keeps_no_other_waiting(
    log: HostRoomLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A room that is blocked for a while delays only its own messages, and keeps their order."""
    gate = threading.Event()
    append = SQLiteRoomLog.append

    def first_waits(self: SQLiteRoomLog, room: str, **message: str) -> Appended:
        if message["id"] == "first":
            gate.wait(PATIENCE)
        return append(self, room, **message)

    monkeypatch.setattr(SQLiteRoomLog, "append", first_waits)
    busy = [asyncio.create_task(say(log, "busy", id_)) for id_ in ("first", "second", "third")]
    assert await say(log, "den", "other") == 1
    assert not any(task.done() for task in busy)
    gate.set()
    assert await asyncio.gather(*busy) == [1, 2, 3]
    assert not log._turns


async def say(log: HostRoomLog, room: str, id_: str) -> int:
    appended = await log.append(room, id=id_, author="a1", name="Ann", text="hello")
    return appended.message.seq


async def test_what_waits_is_bounded_in_bytes(
    log: HostRoomLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting messages and texts are limited in bytes."""
    monkeypatch.setattr(room_log, "MAX_WAITING_BYTES", 10_000)
    long = "x" * 2_000
    with log._sync._lock:  # type: ignore[attr-defined]
        waiting = [
            asyncio.create_task(log.append("den", id=str(n), author="a", name="A", text=long))
            for n in range(10)
        ]
        done, _ = await asyncio.wait(waiting, timeout=0.1)
        assert len(done) == 6
        assert all(isinstance(task.exception(), EventError) for task in done)
        kept = [log.keep_text(f"room-{number}", long) for number in range(10)]
        assert kept == [True] * 4 + [False] * 6
        assert not log.keep_text("room-0", "shorter")  # no write of its own
    await asyncio.gather(*waiting, return_exceptions=True)
    await until(lambda: not log._writing)
    assert (log._texts_bytes, log._waiting_bytes) == (0, 0)


async def test_nothing_is_read_for_clients_that_have_gone(log: HostRoomLog) -> None:
    """A call reads nothing if its client has gone while it waited for its turn."""
    with pytest.raises(EventError):
        await log.latest("den", lambda: False)
    with pytest.raises(EventError):
        await log.after("den", 0, 10, lambda: False)
    assert await log.after("den", 0, 10, lambda: True) == []
