"""Tests of the values in messages from the bus: names, numbers, rooms, and lists of them."""

import re
from collections.abc import Callable
from typing import Any

MAX_NUMBER = 2**53 - 1  # the largest integer that every JSON parser reads exactly

MAX_NAME = 1_024  # characters of a room's name, a sid, a namespace or a subject
MAX_NAMES = 64 * 1024  # characters of all rooms, or all sids, of one event

_SENDER = re.compile(r"[!-~]{1,64}")

Test = Callable[[Any], bool]


def is_optional(value: Any, test: Test) -> bool:
    """Whether a value is None or passes a test."""
    return value is None or test(value)


def is_sender(value: Any) -> bool:
    """Whether a value is the id of a host or another sender."""
    return type(value) is str and bool(_SENDER.fullmatch(value))


def is_name(value: Any) -> bool:
    """Whether a value is a string of bounded length."""
    return isinstance(value, str) and len(value) <= MAX_NAME


def is_number(value: Any) -> bool:
    """Whether a value is an integer from 0 to MAX_NUMBER."""
    return type(value) is int and 0 <= value <= MAX_NUMBER


def is_room(value: Any) -> bool:
    """Whether a value is a room's name: a string or an integer."""
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) <= MAX_NUMBER
    return is_name(value)


def is_room_or_all(value: Any) -> bool:
    """Whether a value is a room's name, or None for all rooms."""
    return value is None or is_room(value)


def is_list(values: Any, test: Test, most: int = MAX_NAMES) -> bool:
    """Whether a value is a list of at most `most` items that all pass a test."""
    return type(values) is list and len(values) <= most and all(map(test, values))


def is_one_or_list(values: Any, test: Test) -> bool:
    """Whether a value is one name or a list of names, of bounded total size."""
    if type(values) is not list:
        return test(values)
    return is_list(values, test) and sum(len(str(value)) for value in values) <= MAX_NAMES
