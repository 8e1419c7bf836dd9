"""The lease: its row, written conditionally, and each host's view of it."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

import boto3
import pytest

from scripts.commands.dev.template import load
from socket_host.lease import Lease, keeper, open_lease, parse_leases
from socket_host.lease.row import LeaseError, LeaseStore, Row
from tests.infra.templates import written
from tests.kit.aws import aws
from tests.kit.waiting import until

pytestmark = pytest.mark.together("aws")


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    with aws():
        yield


@pytest.fixture(params=["sqlite", "dynamodb"])
def setting(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The setting for a new lease."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path}/data/leases.sqlite3"
    request.getfixturevalue("server")
    keys = load(written())["Resources"]["Leases"]["Properties"]
    names = ("KeySchema", "AttributeDefinitions", "BillingMode")
    table = f"leases-{tmp_path.name}"
    boto3.client("dynamodb").create_table(TableName=table, **{name: keys[name] for name in names})
    return f"dynamodb:{table}"


def test_row_is_written_conditionally(setting: str) -> None:
    """A row is replaced only by a host that has seen the last one."""
    store = open_lease(setting)
    assert store.read() is None
    first, second = Row("a", 1, 0), Row("a", 1, 1)
    assert store.replace(None, first)
    assert not store.replace(None, Row("b", 1, 0))
    assert store.read() == first
    assert store.replace(first, second)
    assert not store.replace(first, Row("b", 2, 0))
    assert store.replace(second, Row("", 1, 1))
    assert store.read() == Row("", 1, 1)
    store.close()


def test_one_of_many_takes_it(setting: str) -> None:
    """Of many hosts that have seen the same row, one replaces it."""
    stores = [open_lease(setting) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(lambda n: stores[n].replace(None, Row(str(n), 1, 0)), range(8)))
    assert taken.count(True) == 1


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check the lease more often than usual, with the usual duration."""
    monkeypatch.setattr(keeper, "WATCH_SECONDS", 0.02)
    monkeypatch.setattr(keeper, "RENEW_SECONDS", 0.02)


@pytest.mark.usefixtures("quick")
async def test_lease_passes_to_another_host(setting: str) -> None:
    """One of two hosts holds the lease until it stops; then the other does, with a new number."""
    first, second = (Lease(open_lease(setting), owner) for owner in ("a", "b"))
    async with AsyncExitStack() as stack:
        async with first.running():
            assert await first.held() == 1
            await stack.enter_async_context(second.running())
            assert second.number is None
            assert first.health() == {"status": "ok", "held": True, "number": 1}
            assert second.health() == {"status": "ok", "held": False}
        assert first.number is None
        async with asyncio.timeout(20):
            assert await second.held() == 2


class Broken:
    """A store that can be made to fail."""

    def __init__(self) -> None:
        self.row: Row | None = None
        self.fails: Exception | None = None
        self.writing = threading.Lock()

    def read(self) -> Row | None:
        if self.fails:
            raise self.fails
        return self.row

    def replace(self, seen: Row | None, new: Row) -> bool:
        with self.writing:
            if self.read() != seen:
                return False
            self.row = new
            return True

    def close(self) -> None:
        pass


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("error", [LeaseError("there is no table"), KeyError("owner")])
async def test_store_is_away(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A host that cannot renew its lease loses it in time, logs that once, and stops its work."""
    monkeypatch.setattr(keeper, "LEASE_SECONDS", 0.5)
    store = Broken()
    lease = Lease(store, "a")
    ended = asyncio.Event()

    async def work(number: int) -> None:
        store.fails = error
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with lease.running():
        while not ended.is_set():  # on a very busy machine, it may be lost earlier
            await lease.hold(work, await lease.held())
        assert lease.number is None
        await until(lambda: lease.health()["status"] == "degraded")
        store.fails = None
        async with asyncio.timeout(20):
            assert await lease.held() >= 1
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    why = str(error) if isinstance(error, LeaseError) else repr(error)
    assert [text for text in errors if text != "The lease could not be kept."] == [
        f"The lease cannot be read or written: {why}. The `once` tasks are paused."
    ]


@pytest.mark.usefixtures("quick")
async def test_lease_taken_by_another_host() -> None:
    """A host that finds another owner in the row loses the lease at once."""
    store = Broken()
    lease = Lease(store, "a")
    async with lease.running():
        number = await lease.held()
        with store.writing:
            store.row = Row("b", number + 1, 0)
        await until(lambda: lease.number is None)
    assert store.row == Row("b", number + 1, 0)


async def test_error_of_the_work_is_raised() -> None:
    """`hold` raises the work's error."""
    lease = Lease(Broken(), "a")

    async def work(number: int) -> None:
        raise RuntimeError("a bug")

    async with lease.running():
        with pytest.raises(RuntimeError, match="a bug"):
            await lease.hold(work, await lease.held())


@pytest.mark.parametrize(
    "text", ["", "sqlite", "sqlite:", "dynamodb:", "dynamodb:a b", "redis://x"]
)
def test_setting_is_checked(text: str) -> None:
    """A malformed setting is refused with the correct form."""
    with pytest.raises(ValueError, match="must be sqlite:PATH or dynamodb:TABLE"):
        parse_leases(text)


def test_file_that_cannot_be(tmp_path: Path) -> None:
    """A file that cannot be opened is an error that names it."""
    (tmp_path / "file").touch()
    store: LeaseStore = open_lease(f"sqlite:{tmp_path}/file/x")
    with pytest.raises(LeaseError, match="file/x"):
        store.read()
