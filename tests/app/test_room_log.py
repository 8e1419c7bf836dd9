"""The room log loses and doubles no message and leaves no gaps, however many append at once."""

import multiprocessing
import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from functions.model import dynamodb_room_log
from functions.model.dynamodb_room_log import DynamoDBRoomLog
from functions.model.payloads import MAX_TEXT, is_room
from functions.model.room_log import RoomLog, RoomLogError
from functions.model.room_logs import open_room_log
from tests.app.table import make_rooms
from tests.kit.aws import aws
from tests.kit.hosts import PATIENCE


def say(log: RoomLog, text: str, *, room: str = "lobby", id: str = "") -> int:  # noqa: A002 - as in the log
    appended = log.append(room, id=id or f"id of {text}", author="a1", name="Ann", text=text)
    return appended.message.seq


def say_until_stored(log: RoomLog, text: str) -> int:
    """Append a message, and repeat it while the room is too busy, as clients do."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return say(log, text)
        except RoomLogError:
            if time.monotonic() > deadline:
                raise


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[None]:
    """A stand-in for DynamoDB, and the settings for processes to use it."""
    with aws():
        yield


@pytest.fixture(params=["sqlite", "dynamodb"])
def setting(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty room log of each kind."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path}/data/rooms.sqlite3"
    request.getfixturevalue("dynamodb")
    table = f"rooms-{uuid.uuid4()}"
    make_rooms(table)
    return f"dynamodb:{table}"


@pytest.fixture
def log(setting: str) -> Iterator[RoomLog]:
    log = open_room_log(setting)
    yield log
    log.close()


def test_sequence_is_contiguous_per_room(log: RoomLog) -> None:
    """Messages are numbered from one in each room."""
    assert [say(log, "a"), say(log, "b"), say(log, "a", room="garden"), say(log, "c")] == [
        1,
        2,
        1,
        3,
    ]


def test_stored_message_is_returned_unchanged(log: RoomLog) -> None:
    """Both ways of reading return what was appended."""
    text = "Ünïcode 🦊\n<script>\0'--"
    appended = log.append("lobby", id="m1", author="a1", name="Ann", text=text)
    assert appended.new
    assert appended.message.text == text
    assert log.latest("lobby") == log.after("lobby", 0) == [appended.message]


def test_repeated_id_is_stored_once(log: RoomLog) -> None:
    """A client that repeats a message because the ack was lost gets the same answer."""
    first = log.append("lobby", id="m1", author="a1", name="Ann", text="hello")
    say(log, "between")
    again = log.append("lobby", id="m1", author="a2", name="Ann", text="hello!")
    assert not again.new
    assert again.message == first.message
    assert [message.text for message in log.latest("lobby")] == ["hello", "between"]


def test_same_id_in_another_room_is_another_message(log: RoomLog) -> None:
    """Clients choose ids, so they are unique only within a room."""
    say(log, "a", id="m1")
    assert say(log, "b", room="garden", id="m1") == 1
    assert log.latest("garden")[0].text == "b"


def test_latest_is_bounded_and_in_order(log: RoomLog) -> None:
    """Only a room's newest messages are returned, oldest first."""
    for number in range(60):
        say(log, str(number))
    assert [message.seq for message in log.latest("lobby")] == list(range(11, 61))
    assert [message.seq for message in log.latest("lobby", 2)] == [59, 60]


def test_after_is_bounded_and_continues(log: RoomLog) -> None:
    """Messages after a number are returned in batches without gaps between them."""
    for number in range(10):
        say(log, str(number))
    assert [message.seq for message in log.after("lobby", 3, 4)] == [4, 5, 6, 7]
    assert [message.seq for message in log.after("lobby", 7, 4)] == [8, 9, 10]
    assert log.after("lobby", 10) == []
    assert log.after("nowhere", 0) == []


def test_current_text_is_the_last_kept(log: RoomLog) -> None:
    """A room's current text is empty at first, and then the one kept last."""
    assert log.text("lobby") == ""
    log.keep_text("lobby", "he")
    log.keep_text("lobby", "hello")
    assert log.text("lobby") == "hello"
    assert log.text("garden") == ""


def test_state_has_new_messages_and_the_text(log: RoomLog) -> None:
    """A state has the messages after a number, as many as a page shows, and the current text."""
    assert log.state("lobby") == ([], "")
    for number in range(60):
        say(log, str(number))
    assert log.state("lobby") == (log.latest("lobby"), "")
    log.keep_text("lobby", "hel")
    assert log.state("lobby") == log.state("lobby", 3) == (log.latest("lobby"), "hel")
    assert log.state("lobby", 58) == (log.latest("lobby", 2), "hel")
    assert log.state("lobby", 60) == ([], "hel")


def test_batches_of_long_messages_are_complete(log: RoomLog) -> None:
    """A batch has the requested number of messages, however large they are."""
    for number in range(135):  # more than a megabyte, the limit of DynamoDB's responses
        log.append("lobby", id=str(number), author="a", name="Ann", text="\U0001f98a" * MAX_TEXT)
    assert [message.seq for message in log.after("lobby", 0)] == list(range(1, 136))


def test_log_outlives_its_process(log: RoomLog, setting: str) -> None:
    """Other processes read what this one has stored."""
    say(log, "hello")
    other = open_room_log(setting)
    assert other.latest("lobby") == log.latest("lobby")
    other.close()


def append_many(setting: str, author: str, count: int) -> list[int]:
    log = open_room_log(setting)
    seqs = [say_until_stored(log, f"{author}-{number}") for number in range(count)]
    log.close()
    return seqs


def test_processes_append_at_once(setting: str) -> None:
    """If two processes append at once, numbers have no gaps and each author's order is kept."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        runs = [pool.submit(append_many, setting, author, 25) for author in ("ann", "bob")]
        seqs = [run.result(timeout=60) for run in runs]
    assert sorted(seqs[0] + seqs[1]) == list(range(1, 51))
    assert all(run == sorted(run) for run in seqs)
    log = open_room_log(setting)
    messages = log.after("lobby", 0, 1000)
    log.close()
    assert [message.seq for message in messages] == list(range(1, 51))
    assert len({message.id for message in messages}) == 50


def test_threads_append_at_once(log: RoomLog) -> None:
    """One log object may be used by many threads."""
    with ThreadPoolExecutor(4) as pool:
        seqs = list(pool.map(lambda number: say_until_stored(log, str(number)), range(60)))
    assert sorted(seqs) == list(range(1, 61))


def test_failed_append_leaves_nothing(log: RoomLog) -> None:
    """A failed append raises, stores nothing, and leaves its number to the next message."""
    with pytest.raises(RoomLogError):
        log.append("lobby", id="m1", author="a1", name="Ann", text=None)  # type: ignore[arg-type]  # the point
    assert say(log, "hello") == 1


def test_unusable_path_is_named(tmp_path: Path) -> None:
    """If a file cannot be opened, the error names it."""
    (tmp_path / "file").touch()
    with pytest.raises(RoomLogError, match=r"file/rooms\.sqlite3 cannot be opened"):
        open_room_log(f"sqlite:{tmp_path}/file/rooms.sqlite3")


@pytest.mark.parametrize("setting", ["", "sqlite:", "sqlite", "postgres:x", "/tmp/rooms"])
def test_malformed_setting_is_named(setting: str) -> None:
    """An invalid setting is quoted in the error, with an example of a valid one."""
    with pytest.raises(ValueError, match="sqlite:PATH"):
        open_room_log(setting)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lobby", True),
        ("a", True),
        ("room-2", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("", False),
        ("-a", False),
        ("Lobby", False),
        ("a b", False),
        ("a/b", False),
        ("lobby\n", False),
        ("é", False),
        (None, False),
        (7, False),
    ],
)
def test_room_names(name: object, expected: bool) -> None:
    """Room names need no escaping in URLs."""
    assert is_room(name) is expected


@pytest.mark.usefixtures("dynamodb")
def test_busy_room_is_an_error_to_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    """An append that keeps losing to others fails; if it is repeated, it is stored once."""
    monkeypatch.setattr(dynamodb_room_log, "_PERSISTENCE", 0.1)
    table = f"rooms-{uuid.uuid4()}"
    make_rooms(table)
    log, faster = (open_room_log(f"dynamodb:{table}") for _ in "ab")
    with monkeypatch.context() as patch:
        read = DynamoDBRoomLog._read_last

        def overtaken(self: DynamoDBRoomLog, room: str) -> int:
            last = read(self, room)
            if self is log:
                say(faster, str(last))
            return last

        patch.setattr(DynamoDBRoomLog, "_read_last", overtaken)
        with pytest.raises(RoomLogError, match="lobby is too busy"):
            say(log, "hello")
    stored = [message.text for message in log.latest("lobby")]
    assert stored
    assert "hello" not in stored
    assert say(log, "hello") == say(log, "hello") == len(stored) + 1
    log.close()
    faster.close()


@pytest.mark.usefixtures("dynamodb")
def test_unreachable_dynamodb_is_an_error_to_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    """If DynamoDB is unreachable or the table is missing, the error says so."""
    log = open_room_log("dynamodb:nowhere")
    with pytest.raises(RoomLogError, match="DynamoDB refused: the table nowhere does not exist"):
        say(log, "hello")
    log.close()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    log = open_room_log("dynamodb:nowhere")
    with pytest.raises(RoomLogError, match="cannot be used now"):
        log.latest("lobby")
    log.close()


def test_unusable_file_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not a database is closed again."""
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def keep(*args: Any, **rest: Any) -> sqlite3.Connection:
        opened.append(connect(*args, **rest))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", keep)
    path = tmp_path / "rooms.sqlite3"
    path.write_text("This is not a database. " * 100)
    with pytest.raises(RoomLogError, match="not a database"):
        open_room_log(f"sqlite:{path}")
    (database,) = opened
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        database.execute("SELECT 1")


def test_opened_while_another_process_prepares_it(tmp_path: Path) -> None:
    """Hosts that open a new file at the same time wait for each other."""
    path = tmp_path / "rooms.sqlite3"
    with sqlite3.connect(path, check_same_thread=False) as other, ThreadPoolExecutor(1) as threads:
        other.execute("BEGIN IMMEDIATE")
        opening = threads.submit(open_room_log, f"sqlite:{path}")
        with pytest.raises(TimeoutError):
            opening.result(0.1)
        other.rollback()
        log = opening.result(PATIENCE)
    other.close()
    assert say(log, "hello") == 1
    log.close()


@pytest.mark.parametrize("again", [False, True])
def test_removed_while_it_is_open(tmp_path: Path, again: bool) -> None:
    """If the file is deleted, appends fail, whether or not there is a new file."""
    setting = f"sqlite:{tmp_path}/data/rooms.sqlite3"
    log = open_room_log(setting)
    assert say(log, "hello") == 1
    shutil.rmtree(tmp_path / "data")
    other = open_room_log(setting) if again else None
    for _ in range(2):
        with pytest.raises(RoomLogError, match="was removed: start again"):
            say(log, "lost")
    log.close()
    if other:
        assert say(other, "hello") == 1
        other.close()
