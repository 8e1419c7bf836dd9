"""EventBridge's schedules: `rate(...)`, `cron(...)` and `at(...)`.

See "Setting a schedule pattern for scheduled rules" and "Schedule types in EventBridge Scheduler"
in the EventBridge user guide.
"""

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class ScheduleError(ValueError):
    """The schedule is malformed; the text says what one looks like."""


class Schedule(Protocol):
    """Minutes of time."""

    def includes(self, minute: datetime, started: datetime) -> bool:
        """Whether a minute is one of those of a schedule that began at another; both in UTC."""


def parse(expression: str, timezone: str = "UTC") -> Schedule:
    """Return the schedule of an expression, or raise ScheduleError."""
    found = re.fullmatch(r"(rate|cron|at)\((.*)\)", expression.strip())
    if not found:
        raise ScheduleError(
            f"{expression!r} is not a schedule such as rate(5 minutes), cron(0 3 * * ? *) or "
            "at(2030-01-31T03:00:00)"
        )
    kind, text = found.groups()
    if kind == "rate":
        return Rate.parse(text)
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ScheduleError(f"{timezone!r} is not a time zone such as Europe/Vienna") from None
    return Cron.parse(text, zone) if kind == "cron" else At.parse(text, zone)


@dataclass(frozen=True)
class Rate:
    """A schedule at a fixed interval."""

    minutes: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the rate of a text such as `5 minutes`, or raise ScheduleError."""
        found = re.fullmatch(r"([1-9]\d{0,5}) (minute|hour|day)(s?)", text.strip())
        if not found or (found[1] == "1") == bool(found[3]):
            raise ScheduleError(
                f"rate({text}) is not a rate such as rate(1 minute), rate(5 minutes), rate(12 "
                "hours) or rate(1 day)"
            )
        return cls(int(found[1]) * {"minute": 1, "hour": 60, "day": 24 * 60}[found[2]])

    def includes(self, minute: datetime, started: datetime) -> bool:
        """Whether a minute is one of those of a schedule that began at another; both in UTC."""
        passed = (minute - started) // timedelta(minutes=1)
        return passed > 0 and passed % self.minutes == 0


@dataclass(frozen=True)
class At:
    """A schedule that runs once."""

    minute: datetime

    @classmethod
    def parse(cls, text: str, zone: ZoneInfo) -> Self:
        """Return the time of a text such as `2030-01-31T03:00:00`, or raise ScheduleError."""
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", text.strip()):
            raise ScheduleError(f"at({text}) is not a time such as at(2030-01-31T03:00:00)")
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError as error:
            raise ScheduleError(f"at({text}) is not a time: {error}") from None
        return cls(moment.replace(second=0, tzinfo=zone).astimezone(UTC))

    def includes(self, minute: datetime, started: datetime) -> bool:
        """Whether a minute is one of those of a schedule that began at another; both in UTC."""
        return minute == self.minute


_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_NAMES = {
    "month": {name: number for number, name in enumerate(_MONTHS, 1)},
    "day of the week": {name: number for number, name in enumerate(_DAYS, 1)},
}
_FIELDS = {
    "minute": range(60),
    "hour": range(24),
    "day of the month": range(1, 32),
    "month": range(1, 13),
    "day of the week": range(1, 8),  # 1 is Sunday
    "year": range(1970, 2200),
}


@dataclass(frozen=True)
class Cron:
    """The minutes that six fields describe, in a time zone."""

    fields: Mapping[str, frozenset[int]]  # but for days that depend on the month
    day: str  # such as L or 15W, else empty
    weekday: str  # such as 6L or 2#1, else empty
    zone: ZoneInfo

    @classmethod
    def parse(cls, text: str, zone: ZoneInfo) -> Self:
        """Return the schedule of six fields, or raise ScheduleError."""
        words = text.upper().split()
        if len(words) != len(_FIELDS):
            raise ScheduleError(
                f"cron({text}) has {len(words)} fields; it needs six: {', '.join(_FIELDS)}"
            )
        named = dict(zip(_FIELDS, words, strict=True))
        day, weekday = named["day of the month"], named["day of the week"]
        if (day == "?") == (weekday == "?"):
            raise ScheduleError(
                f"cron({text}) must have ? either as the day of the month or as that of the week"
            )
        special = re.fullmatch(r"L|LW|([1-9]|[12]\d|3[01])W", day)
        weekly = re.fullmatch(r"([1-7]|[A-Z]{3})(L|#[1-5])", weekday)
        if weekly:
            weekday = f"{_number('day of the week', weekly[1], text)}{weekly[2]}"
            named["day of the week"] = "*"
        if special:
            named["day of the month"] = "*"
        fields = {name: _values(name, word, text) for name, word in named.items()}
        return cls(fields, day if special else "", weekday if weekly else "", zone)

    def includes(self, minute: datetime, started: datetime) -> bool:
        """Whether a minute is one of those of a schedule that began at another; both in UTC."""
        local = minute.astimezone(self.zone)
        values = {
            "minute": local.minute,
            "hour": local.hour,
            "day of the month": local.day,
            "month": local.month,
            "day of the week": _weekday(local),
            "year": local.year,
        }
        return (
            all(values[name] in allowed for name, allowed in self.fields.items())
            and (not self.day or local.day == _special_day(self.day, local))
            and (not self.weekday or _is_weekday_of_month(self.weekday, local))
        )


def _values(name: str, word: str, text: str) -> frozenset[int]:
    return frozenset(value for part in word.split(",") for value in _part(name, part, text))


def _part(name: str, part: str, text: str) -> range:
    """Return the values of `*`, `?`, `3`, `3-5`, or one of those with a step: `*/5`, `3/5`."""
    allowed = _FIELDS[name]
    span, slash, step = part.partition("/")
    if slash and not re.fullmatch(r"[1-9]\d{0,3}", step):
        raise ScheduleError(f"cron({text}): {part!r} is not a {name}")
    if span in ("*", "?"):
        first, last = allowed[0], allowed[-1]
    elif "-" in span:
        first, last = (_number(name, each, text) for each in span.split("-", 1))
    else:
        first = _number(name, span, text)
        last = allowed[-1] if slash else first
    if first > last:
        raise ScheduleError(f"cron({text}): {part!r} is not a {name}")
    return range(first, last + 1, int(step or 1))


def _number(name: str, word: str, text: str) -> int:
    number = _NAMES.get(name, {}).get(word, int(word) if re.fullmatch(r"\d{1,4}", word) else -1)
    if number not in _FIELDS[name]:
        allowed = _FIELDS[name]
        raise ScheduleError(
            f"cron({text}): {word!r} is not a {name}, which goes from {allowed[0]} to {allowed[-1]}"
        )
    return number


def _weekday(day: date) -> int:
    return day.isoweekday() % 7 + 1


def _special_day(word: str, day: date) -> int:
    """Return the day of the month that `L`, `LW` or `15W` stands for in a day's month."""
    last = monthrange(day.year, day.month)[1]
    if word == "L":
        return last
    wanted = last if word == "LW" else min(int(word[:-1]), last)
    weekday = day.replace(day=wanted).isoweekday()
    if weekday == 6:
        return wanted - 1 if wanted > 1 else 3
    if weekday == 7:
        return wanted + 1 if wanted < last else wanted - 2
    return wanted


def _is_weekday_of_month(word: str, day: date) -> bool:
    """Whether a day is what `6L`, the last Friday, or `6#2`, the second, stands for."""
    if _weekday(day) != int(word[0]):
        return False
    if word[1] == "L":
        return day.day + 7 > monthrange(day.year, day.month)[1]
    return (day.day - 1) // 7 + 1 == int(word[2])
