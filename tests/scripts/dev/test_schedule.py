"""Schedules, as in EventBridge."""

from datetime import UTC, datetime, timedelta

import pytest

from scripts.commands.dev.schedule import ScheduleError, parse

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)  # a Thursday


def first(expression: str, count: int, timezone: str = "UTC") -> list[str]:
    """The first minutes of a schedule in 2026, or its first days."""
    schedule = parse(expression, timezone)
    found = []
    minute = BEGUN
    while len(found) < count and minute.year == 2026:
        if schedule.includes(minute, BEGUN):
            found.append(minute.strftime("%m-%d %H:%M"))
        minute += timedelta(minutes=1)
    return found


@pytest.mark.parametrize(
    ("expression", "minutes"),
    [
        ("rate(1 minute)", ["01-01 00:01", "01-01 00:02"]),
        ("rate(5 minutes)", ["01-01 00:05", "01-01 00:10"]),
        ("rate(12 hours)", ["01-01 12:00", "01-02 00:00"]),
        ("rate(1 day)", ["01-02 00:00", "01-03 00:00"]),
        ("at(2026-01-02T03:04:05)", ["01-02 03:04"]),
        ("cron(15 10 * * ? *)", ["01-01 10:15", "01-02 10:15"]),
        ("cron(0/15 * * * ? *)", ["01-01 00:00", "01-01 00:15"]),
        ("cron(*/20 8-9 ? * MON-FRI *)", ["01-01 08:00", "01-01 08:20", "01-01 08:40"]),
        ("cron(0 18 ? * 2,4 2026)", ["01-05 18:00", "01-07 18:00"]),
        ("cron(0 0 1 feb,mar ? *)", ["02-01 00:00", "03-01 00:00"]),
        ("cron(0 0 L * ? *)", ["01-31 00:00", "02-28 00:00"]),
        ("cron(0 0 LW * ? *)", ["01-30 00:00", "02-27 00:00"]),
        ("cron(0 0 3W * ? *)", ["01-02 00:00", "02-03 00:00"]),
        ("cron(0 0 1W 8 ? *)", ["08-03 00:00"]),
        ("cron(0 0 31W 5 ? *)", ["05-29 00:00"]),
        ("cron(0 0 ? * 6L *)", ["01-30 00:00", "02-27 00:00"]),
        ("cron(0 0 ? * MON#2 *)", ["01-12 00:00", "02-09 00:00"]),
    ],
)
def test_minutes(expression: str, minutes: list[str]) -> None:
    """Each kind of expression includes the minutes that AWS's guide says."""
    assert first(expression, len(minutes)) == minutes


def test_timezone() -> None:
    """A schedule in a time zone follows daylight saving time."""
    (winter,) = first("cron(30 2 1 1 ? *)", 1, "Europe/Vienna")
    (summer,) = first("cron(30 2 1 7 ? *)", 1, "Europe/Vienna")
    assert (winter, summer) == ("01-01 01:30", "07-01 00:30")
    assert first("at(2026-01-02T03:04:00)", 1, "America/New_York") == ["01-02 08:04"]


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("every day", "is not a schedule such as rate"),
        ("rate(1 minutes)", "is not a rate such as"),
        ("rate(5 minute)", "is not a rate such as"),
        ("rate(0 minutes)", "is not a rate such as"),
        ("cron(0 3 * * *)", "has 5 fields; it needs six: minute, hour, day of the month"),
        ("cron(0 3 * * * *)", "must have [?] either as"),
        ("cron(0 3 ? * ? *)", "must have [?] either as"),
        ("cron(60 3 * * ? *)", "'60' is not a minute, which goes from 0 to 59"),
        ("cron(0 3 ? * MAN *)", "'MAN' is not a day of the week, which goes from 1 to 7"),
        ("cron(9-5 3 * * ? *)", "'9-5' is not a minute"),
        ("cron(0/0 3 * * ? *)", "'0/0' is not a minute"),
        ("cron(, 3 * * ? *)", "'' is not a minute"),
        ("at(tomorrow)", "is not a time such as"),
        ("at(2026-02-30T00:00:00)", "is not a time: day is out of range"),
    ],
)
def test_malformed_schedule(expression: str, sentence: str) -> None:
    """A malformed schedule is refused with an example."""
    with pytest.raises(ScheduleError, match=sentence):
        parse(expression)


@pytest.mark.parametrize("name", ["Vienna", "", "/etc/passwd", "../x"])
def test_unknown_timezone(name: str) -> None:
    """An unknown time zone is named."""
    with pytest.raises(ScheduleError, match="is not a time zone"):
        parse("cron(0 3 * * ? *)", name)
