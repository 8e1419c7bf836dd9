"""The schema of messages from the bus, which is checked before any part of them is kept.

`parse` reads the JSON, `fault` returns what is wrong with a message, and `plain_emit` does both for
ordinary events, with a few type checks. `announcement_schema` has the schema of announcements.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

from functions.contract.bus import ANNOUNCEMENT, MAX_BYTES, RESERVED_EVENTS
from socket_host.bus.announcement_schema import announcement_fault
from socket_host.bus.fields import (
    MAX_NAME,
    is_list,
    is_name,
    is_number,
    is_one_or_list,
    is_optional,
    is_room,
    is_sender,
)

MAX_ID = 96  # characters of a message_id, `sender:number`
_ID = re.compile(r"[!-~]{1,64}:[1-9][0-9]{0,15}")


def parse(text: str) -> Any:
    """Return the value of a JSON text; raise ValueError if it is not JSON.

    Numbers that overflow are refused too: passed on, they would not be JSON for browsers.
    """
    try:
        value, end = _scan(text, 0)
    except (StopIteration, RecursionError):
        raise ValueError("not JSON, or nested too deeply") from None
    if end != len(text) and not text[end:].isspace():
        raise ValueError("the JSON is followed by something else")
    return value


def plain_emit(body: bytes) -> tuple[Any, ...] | None:
    """Return the fields of a message that is an ordinary event for clients.

    They are message_id, method, event, data, namespace, room, skip_sid, callback and host_id.
    Returns None for all other messages, valid or not.
    """
    if len(body) > MAX_BYTES:
        return None
    try:
        text = str(body, "utf-8")
        message, end = _scan(text, 0)
        fields: tuple[Any, ...] = _fields(message)
    except (ValueError, LookupError, TypeError, StopIteration, RecursionError):
        return None
    message_id, method, event, data, namespace, room, skip_sid, callback, host_id = fields
    if (
        method == "emit"
        and type(message_id) is str
        and type(event) is str
        and event not in RESERVED_EVENTS
        and type(data) is list
        and type(namespace) is str
        and (room is None or (type(room) is str and len(room) <= MAX_NAME))
        and (skip_sid is None or (type(skip_sid) is str and len(skip_sid) <= MAX_NAME))
        and callback is None
        and type(host_id) is str
        and len(message_id) <= MAX_ID
        and message_id.startswith(host_id)  # true of all our messages, and sufficient
        and len(namespace) <= MAX_NAME
        and len(text) == end
        and not message.get("binary")
    ):
        return fields
    return None


def fault(message: Any) -> str:
    """Return what is wrong with a message, without quoting it; empty if it is valid.

    Unknown methods and subjects are valid: they may belong to a later version.
    """
    if type(message) is not dict:
        return "not an object"
    if not is_optional(message.get("message_id"), is_id):
        return "message_id"
    if not is_optional(message.get("host_id"), is_sender):
        return "host_id"
    method = message.get("method")
    if type(method) is not str:
        return "method"
    test = _METHODS.get(method)
    if test is not None and not test(message):
        return f"shape of {method}"
    return announcement_fault(message) if method == ANNOUNCEMENT else ""


def is_id(value: Any) -> bool:
    """Whether a value is `sender:number`."""
    return type(value) is str and len(value) <= MAX_ID and bool(_ID.fullmatch(value))


# Numbers


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number that is too large")
    return number


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_scan = json.JSONDecoder(  # type: ignore[attr-defined]  # the function that `raw_decode` wraps
    parse_float=_finite, parse_constant=_no_number
).scan_once

_fields = itemgetter(
    "message_id",
    "method",
    "event",
    "data",
    "namespace",
    "room",
    "skip_sid",
    "callback",
    "host_id",
)


# python-socketio's messages


def _is_emit(message: Mapping[str, Any]) -> bool:
    data, callback = message.get("data"), message.get("callback")
    event = message.get("event")
    return (
        type(event) is str
        and event not in RESERVED_EVENTS
        and type(data) is list
        and is_name(message.get("namespace"))
        and is_optional(message.get("room"), lambda room: is_one_or_list(room, is_room))
        and is_optional(message.get("skip_sid"), lambda sids: is_one_or_list(sids, is_name))
        and is_optional(callback, _is_callback)
        and (not message.get("binary") or is_binary(data))
    )


def _is_callback(value: Any) -> bool:
    match value:
        case [room, namespace, number]:
            return is_room(room) and is_name(namespace) and is_number(number)
    return False


def is_binary(data: list[Any]) -> bool:
    """Whether each attachment has exactly one placeholder, so that it is sent only once."""
    if not data or not is_list(data[1:], lambda value: type(value) is str):
        return False
    places: list[Any] = []
    rest = [data[0]]
    while rest:
        value = rest.pop()
        if type(value) is dict and value.get("_placeholder"):
            places.append(value.get("num"))
        elif type(value) is dict:
            rest.extend(value.values())
        elif type(value) is list:
            rest.extend(value)
    return is_list(places, is_number) and sorted(places) == list(range(len(data) - 1))


def _is_answer_to_emit(message: Mapping[str, Any]) -> bool:
    args = message.get("args")
    return (
        message.get("host_id") is not None
        and is_room(message.get("sid"))
        and is_number(message.get("id"))
        and type(args) is list
        and (not message.get("binary") or is_binary(args))
    )


def _is_about_client(message: Mapping[str, Any]) -> bool:
    return is_name(message.get("sid")) and is_name(message.get("namespace"))


def _is_about_room(message: Mapping[str, Any]) -> bool:
    return is_room(message.get("room")) and is_name(message.get("namespace"))


_METHODS: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "emit": _is_emit,
    "callback": _is_answer_to_emit,
    "disconnect": _is_about_client,
    "enter_room": lambda message: _is_about_client(message) and _is_about_room(message),
    "leave_room": lambda message: _is_about_client(message) and _is_about_room(message),
    "close_room": _is_about_room,
}
