"""The schema of messages from the bus, which is checked before any part of them is kept.

`parse` reads the JSON, `fault` says what is wrong with a message, and `plain_emit` does both for
ordinary events, with a few type checks.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

from functions.contract.bus import ANNOUNCEMENT, MAX_BYTES, RESERVED_EVENTS, SESSION_END

MAX_NUMBER = 2**53 - 1  # the largest integer that every JSON parser reads exactly

MAX_ID = 96  # characters of a message_id, `sender:number`
_ID = re.compile(r"[!-~]{1,64}:[1-9][0-9]{0,15}")
_SENDER = re.compile(r"[!-~]{1,64}")

MAX_NAME = 1_024  # characters of a room's name, a sid, a namespace or a subject
_MAX_NAMES = 64 * 1024  # characters of all rooms, or all sids, of one event

_MAX_STATE = 1_024  # characters of the JSON that a heartbeat carries
_MAX_HOSTS = 1_000  # in one request
_MAX_PARTS = 10_000  # of one report
_MOST_HAD = 10_000  # senders in a snapshot of seen messages
_HAD = re.compile(r"[0-9a-f]{1,256}")

Test = Callable[[Any], bool]


def parse(text: str) -> Any:
    """Return the value of a JSON text; raise ValueError if it is not JSON.

    Numbers that overflow are refused too: passed on, they would not be JSON for browsers.
    """
    try:
        value, end = _scan(text, 0)
    except (StopIteration, RecursionError):
        raise ValueError("not JSON, or nested too deeply") from None
    if end != len(text) and not text[end:].isspace():
        raise ValueError("something follows the JSON")
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
    if not _fits(message.get("message_id"), is_id):
        return "message_id"
    if not _fits(message.get("host_id"), _is_sender):
        return "host_id"
    method = message.get("method")
    if type(method) is not str:
        return "method"
    test = _METHODS.get(method)
    if test is not None and not test(message):
        return f"shape of {method}"
    return _announcement_fault(message) if method == ANNOUNCEMENT else ""


def is_id(value: Any) -> bool:
    """Whether a value is `sender:number`."""
    return type(value) is str and len(value) <= MAX_ID and bool(_ID.fullmatch(value))


def _announcement_fault(message: Mapping[str, Any]) -> str:
    subject, host = message.get("subject"), message.get("host_id")
    if not _is_name(subject) or host is None or "body" not in message:
        return "shape of announcement"
    if str(message.get("message_id")).rpartition(":")[0] != host:
        return "announcement in the name of another host"
    test = _SUBJECTS.get(str(subject))
    return f"shape of {subject}" if test is not None and not test(message["body"]) else ""


# Numbers


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number that is too large")
    return number


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_scan = json.JSONDecoder(  # type: ignore[attr-defined]  # what `raw_decode` calls, a layer less
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


# Values


def _fits(value: Any, test: Test) -> bool:
    return value is None or test(value)


def _is_sender(value: Any) -> bool:
    return type(value) is str and bool(_SENDER.fullmatch(value))


def _is_name(value: Any) -> bool:
    return type(value) is str and len(value) <= MAX_NAME


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_NUMBER


def _is_room(value: Any) -> bool:
    return _is_name(value) or (type(value) is int and abs(value) <= MAX_NUMBER)


def _is_room_or_all(value: Any) -> bool:
    return value is None or _is_room(value)


def _are(values: Any, test: Test, most: int = _MAX_NAMES) -> bool:
    return type(values) is list and len(values) <= most and all(map(test, values))


def _are_names(values: Any, test: Test) -> bool:
    """Whether a value is one name or a list of names, of bounded total size."""
    if type(values) is not list:
        return test(values)
    return _are(values, test) and sum(len(str(value)) for value in values) <= _MAX_NAMES


# python-socketio's messages


def _is_emit(message: Mapping[str, Any]) -> bool:
    data, callback = message.get("data"), message.get("callback")
    event = message.get("event")
    return (
        type(event) is str
        and event not in RESERVED_EVENTS
        and type(data) is list
        and _is_name(message.get("namespace"))
        and _fits(message.get("room"), lambda room: _are_names(room, _is_room))
        and _fits(message.get("skip_sid"), lambda sids: _are_names(sids, _is_name))
        and _fits(callback, _is_callback)
        and (not message.get("binary") or is_binary(data))
    )


def _is_callback(value: Any) -> bool:
    match value:
        case [room, namespace, number]:
            return _is_room(room) and _is_name(namespace) and _is_number(number)
    return False


def is_binary(data: list[Any]) -> bool:
    """Whether each attachment has exactly one placeholder, so that it is sent only once."""
    if not data or not _are(data[1:], lambda value: type(value) is str):
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
    return _are(places, _is_number) and sorted(places) == list(range(len(data) - 1))


def _is_answer_to_emit(message: Mapping[str, Any]) -> bool:
    args = message.get("args")
    return (
        message.get("host_id") is not None
        and _is_room(message.get("sid"))
        and _is_number(message.get("id"))
        and type(args) is list
        and (not message.get("binary") or is_binary(args))
    )


def _is_about_client(message: Mapping[str, Any]) -> bool:
    return _is_name(message.get("sid")) and _is_name(message.get("namespace"))


def _is_about_room(message: Mapping[str, Any]) -> bool:
    return _is_room(message.get("room")) and _is_name(message.get("namespace"))


_METHODS: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "emit": _is_emit,
    "callback": _is_answer_to_emit,
    "disconnect": _is_about_client,
    "enter_room": lambda message: _is_about_client(message) and _is_about_room(message),
    "leave_room": lambda message: _is_about_client(message) and _is_about_room(message),
    "close_room": _is_about_room,
}


# Announcements


def _is_word(body: Any) -> bool:
    match body:
        case {"word": str(word), "state": dict(state)}:
            return len(word) <= MAX_NAME and _size(state) <= _MAX_STATE
    return False


def _size(value: Any) -> float:
    try:
        return len(json.dumps(value))
    except RecursionError:
        return math.inf


def _is_presence(body: Any) -> bool:
    match body:
        case {"ask": hosts}:
            return _are(hosts, _is_sender, _MAX_HOSTS)
        case {"news": news, "number": number}:
            return _is_number(number) and _are(news, _is_change)
        case {"all": places, "part": part, "of": parts, "number": number}:
            counts = _is_number(number) and _is_number(part) and _is_number(parts)
            return counts and part < parts <= _MAX_PARTS and _are(places, _is_place)
    return False


def _is_place(item: Any) -> bool:
    return _are(item, _is_name, 3) and len(item) == 3


def _is_change(item: Any) -> bool:
    return type(item) is list and len(item) == 4 and _is_place(item[:3]) and type(item[3]) is bool


def _is_question(body: Any) -> bool:
    match body:
        case [request_id, namespace, sid, offset]:
            return _are([request_id, namespace, sid], _is_name) and _fits(offset, _is_name)
    return False


def _is_answer(body: Any) -> bool:
    match body:
        case [request_id, None]:
            return _is_name(request_id)
        case [request_id, [rooms, data, missed, had, *counts]]:
            return (
                _is_name(request_id)
                and _are(counts, _is_number)
                and _are(rooms, _is_room)
                and _fits(data, lambda value: type(value) is dict)
                and _are(missed, _is_sent)
                and is_snapshot(had)
            )
    return False


def _is_claim(body: Any) -> bool:
    return _are(body, _is_name, 2) and len(body) == 2


def _is_snapshot(body: Any) -> bool:
    match body:
        case {"tag": tag, "position": position, **rest}:
            return (
                _is_name(tag)
                and _is_number(position)
                and _are(rest.get("entries", []), _is_entry)
                and _are(rest.get("dropped", []), _is_dropped)
                and _fits(rest.get("had"), is_snapshot)
            )
    return False


def _is_entry(entry: Any) -> bool:
    match entry:
        case [position, message, namespace, room, skipped]:
            return (
                _is_number(position)
                and _is_sent(message)
                and _is_name(namespace)
                and _fits(room, lambda room: _are_names(room, _is_room_or_all))
                and type(skipped) is list
                and _are_names(skipped, _is_name)
            )
    return False


def _is_dropped(client: Any) -> bool:
    match client:
        case [namespace, sid, rooms, data, start, offset, replayed, *counts]:
            return (
                _are(counts, _is_number)
                and _is_name(namespace)
                and _is_name(sid)
                and _are(rooms, _is_entered)
                and _fits(data, lambda value: type(value) is dict)
                and _is_number(start)
                and _fits(offset, _is_name)
                and _are(replayed, _is_sent)
            )
    return False


def _is_entered(room: Any) -> bool:
    return type(room) is list and len(room) == 2 and _is_room(room[0]) and _is_number(room[1])


def _is_sent(sent: Any) -> bool:
    """Whether a value is an offset, a packet and its attachments, in ASCII."""
    return (
        _are(sent, lambda value: type(value) is str and value.isascii())
        and len(sent) >= 2
        and len(sent[0]) <= MAX_NAME
    )


def is_snapshot(value: Any) -> bool:
    """Whether a value is a snapshot of SeenMessages."""
    return (
        type(value) is dict
        and len(value) <= _MOST_HAD
        and all(_is_sender(sender) and _is_had(had) for sender, had in value.items())
    )


def _is_had(value: Any) -> bool:
    match value:
        case [highest, str(had)]:
            return _is_number(highest) and bool(_HAD.fullmatch(had))
    return False


def _is_session_end(body: Any) -> bool:
    match body:
        case {"visitor": visitor, **more}:
            return _is_name(visitor) and type(more.get("signed_in_at", 0)) in (int, float)
    return False


_SUBJECTS: dict[str, Test] = {
    SESSION_END: _is_session_end,
    "peers": _is_word,
    "attendance": _is_presence,
    "recovery.ask": _is_question,
    "recovery.answer": _is_answer,
    "recovery.claim": _is_claim,
    "recovery.estate": _is_snapshot,
}
