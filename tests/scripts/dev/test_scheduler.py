"""Functions run at their times, in environments of their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scripts.commands.dev.function import Function, make_function
from scripts.commands.dev.functions import Functions, FunctionSettings, Timer
from scripts.commands.dev.schedule import parse
from scripts.commands.dev.scheduler import Scheduler
from tests.scripts.dev.edges import PATIENCE, eventually

BEGUN = datetime(2026, 1, 1, 2, 58, 30, tzinfo=UTC)

HANDLER = """
import json, os

def handler(event, context):
    with open(os.environ["OUT"], "a") as out:
        out.write(json.dumps({"event": event, "own": os.environ.get("OWN")}) + "\\n")
    if event == "fail":
        raise LookupError("in the night")
"""


class Clock:
    """A clock that advances when somebody sleeps, until its end."""

    def __init__(self, end: datetime) -> None:
        self.now = BEGUN
        self.slept: list[float] = []
        self._end = end

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)
        if self.now > self._end:
            raise TimeoutError

    async def run(self, scheduler: Scheduler) -> None:
        with suppress(TimeoutError):
            await scheduler.run(lambda: self.now, self.sleep)


class Recorder(Function):
    """A function that records its events."""

    def __init__(self, settings: FunctionSettings) -> None:
        super().__init__(settings, {})
        self.events: list[Any] = []
        self.renewed = 0

    async def invoke(self, event: Any) -> Any:
        self.events.append(event)

    def renew(self) -> None:
        self.renewed += 1


def settings(name: str, **timers: str) -> FunctionSettings:
    listed = tuple(Timer(timer, parse(text)) for timer, text in timers.items())
    return FunctionSettings("workpiece.handler", PATIENCE, 128, name, timers=listed)


EDGE = settings("Pages", Hourly="cron(0 * * * ? *)")
NIGHTLY = settings("Nightly", Night="cron(0 3 * * ? *)", Often="rate(2 minutes)")


@pytest.fixture
def made() -> dict[str, Recorder]:
    """The functions that were created, by name."""
    return {}


@pytest.fixture
def scheduler(made: dict[str, Recorder]) -> Scheduler:
    def make(settings: FunctionSettings) -> Function:
        return made.setdefault(settings.name, Recorder(settings))

    return Scheduler(Functions(EDGE, {"Nightly": NIGHTLY}), Recorder(EDGE), make)


def events(made: dict[str, Recorder]) -> list[Any]:
    return made["Nightly"].events if "Nightly" in made else []


async def test_times(scheduler: Scheduler, made: dict[str, Recorder]) -> None:
    """At each full minute, due functions run once, with EventBridge's event."""
    clock = Clock(datetime(2026, 1, 1, 3, 2, 30, tzinfo=UTC))
    await clock.run(scheduler)
    await eventually(lambda: len(events(made)) == 3)
    assert clock.slept == [30, 60, 60, 60, 60]
    assert [event["time"] for event in made["Nightly"].events] == [
        *("2026-01-01T03:00:00Z", "2026-01-01T03:00:00Z", "2026-01-01T03:02:00Z")
    ]
    assert {event["resources"][0].rpartition("/")[2] for event in made["Nightly"].events} == {
        "Night",
        "Often",
    }
    assert made["Nightly"].events[0]["detail-type"] == "Scheduled Event"


async def test_none_before_its_time(scheduler: Scheduler, made: dict[str, Recorder]) -> None:
    """A function that is not due is not created."""
    await Clock(BEGUN + timedelta(minutes=1)).run(scheduler)
    assert made == {}


async def test_slept_through(scheduler: Scheduler, made: dict[str, Recorder]) -> None:
    """Runs missed while the machine slept are skipped; those due at wake-up take place."""
    clock = Clock(BEGUN + timedelta(days=2))
    clock.sleep = partial(_sleep_long, clock)  # type: ignore[method-assign]
    await clock.run(scheduler)
    await eventually(lambda: len(events(made)) == 1)


async def _sleep_long(clock: Clock, seconds: float) -> None:
    if clock.slept:
        raise TimeoutError
    clock.slept.append(seconds)
    clock.now = BEGUN.replace(hour=7, minute=2, second=10)


async def test_saved(scheduler: Scheduler, made: dict[str, Recorder]) -> None:
    """A save makes functions run the new code, and uses the new template's functions."""
    await Clock(datetime(2026, 1, 1, 3, 0, 30, tzinfo=UTC)).run(scheduler)
    await eventually(lambda: "Nightly" in made)
    scheduler.renew()
    other = settings("Other", Often="rate(1 minute)")
    scheduler.functions = Functions(EDGE, {"Other": other})
    assert made["Nightly"].renewed == 2
    await Clock(BEGUN + timedelta(minutes=1)).run(scheduler)
    await eventually(lambda: "Other" in made)


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[Scheduler]:
    """A scheduler with a function that records its calls, and fails once."""
    (tmp_path / "workpiece.py").write_text(HANDLER)
    timers = (
        Timer("Good", parse("at(2026-01-01T02:59:00)"), "well"),
        Timer("Bad", parse("at(2026-01-01T02:59:00)"), "fail"),
    )
    nightly = FunctionSettings(
        *("workpiece.handler", PATIENCE, 128, "Nightly"),
        {"OUT": str(tmp_path / "out"), "PYTHONPATH": str(tmp_path)},
        timers,
    )
    make = partial(make_function, environ={"OWN": "of another function"}, plain=True)
    scheduler = Scheduler(Functions(EDGE, {"Nightly": nightly}), None, make)
    yield scheduler
    await scheduler.stop()


async def test_for_real(
    real: Scheduler, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A function gets only its own variables; a failure is reported and affects no other."""
    await Clock(BEGUN + timedelta(minutes=1)).run(real)
    out = tmp_path / "out"
    await eventually(lambda: out.exists() and len(out.read_text().splitlines()) == 2)
    output = ""

    def told() -> bool:
        nonlocal output
        output += capsys.readouterr().err
        return "Nightly failed: LookupError: in the night" in output

    await eventually(told)
    assert '{"event": "well", "own": null}' in out.read_text()
    assert "Good is due: Nightly runs." in output
