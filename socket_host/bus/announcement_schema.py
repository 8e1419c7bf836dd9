"""The schema of the announcements that hosts send to each other over the bus."""

import json
import re
from collections.abc import Mapping
from typing import Any

from functions.contract.bus import SESSION_END
from socket_host.bus.fields import (
    MAX_NAME,
    Test,
    is_list,
    is_name,
    is_number,
    is_one_or_list,
    is_optional,
    is_room,
    is_room_or_all,
    is_sender,
)

_MAX_STATE = 16 * 1_024  # characters of the JSON that a heartbeat carries: a number per namespace
_PLAIN = (int, float, bool, type(None))  # types of a state's values, besides short strings
_MAX_HOSTS = 1_000  # in one request
_MAX_PARTS = 10_000  # of one report
_MAX_SENDERS = 10_000  # senders in a snapshot of seen messages
_BITS = re.compile(r"[0-9a-f]{1,256}")


def announcement_fault(message: Mapping[str, Any]) -> str:
    """Return what is wrong with an announcement; empty if it is valid."""
    subject, host = message.get("subject"), message.get("host_id")
    if not is_name(subject) or host is None or "body" not in message:
        return "shape of announcement"
    if str(message.get("message_id")).rpartition(":")[0] != host:
        return "announcement in the name of another host"
    test = _SUBJECTS.get(str(subject))
    return f"shape of {subject}" if test is not None and not test(message["body"]) else ""


def _is_heartbeat(body: Any) -> bool:
    match body:
        case {"word": str(word), "state": dict(state)}:
            flat = all(type(value) in _PLAIN or is_name(value) for value in state.values())
            return len(word) <= MAX_NAME and flat and len(json.dumps(state)) <= _MAX_STATE
    return False


def _is_presence(body: Any) -> bool:
    match body:
        case {"ask": hosts}:
            return is_list(hosts, is_sender, _MAX_HOSTS)
        case {"news": news, "number": number}:
            return is_number(number) and is_list(news, _is_change)
        case {"all": places, "part": part, "of": parts, "number": number}:
            counts = is_number(number) and is_number(part) and is_number(parts)
            return counts and part < parts <= _MAX_PARTS and is_list(places, _is_place)
    return False


def _is_place(item: Any) -> bool:
    return is_list(item, is_name, 3) and len(item) == 3


def _is_change(item: Any) -> bool:
    return type(item) is list and len(item) == 4 and _is_place(item[:3]) and type(item[3]) is bool


def _is_question(body: Any) -> bool:
    match body:
        case [request_id, namespace, sid, offset]:
            return is_list([request_id, namespace, sid], is_name) and is_optional(offset, is_name)
    return False


def _is_answer(body: Any) -> bool:
    match body:
        case [request_id, None]:
            return is_name(request_id)
        case [request_id, [rooms, data, missed, had, *counts]]:
            return (
                is_name(request_id)
                and is_list(counts, is_number)
                and is_list(rooms, is_room)
                and is_optional(data, lambda value: type(value) is dict)
                and is_list(missed, _is_sent)
                and _is_seen_messages(had)
            )
    return False


def _is_claim(body: Any) -> bool:
    return is_list(body, is_name, 2) and len(body) == 2


def _is_snapshot(body: Any) -> bool:
    match body:
        case {"tag": tag, "position": position, **rest}:
            return (
                is_name(tag)
                and is_number(position)
                and is_list(rest.get("entries", []), is_entry)
                and is_list(rest.get("dropped", []), is_dropped)
                and is_optional(rest.get("had"), _is_seen_messages)
            )
    return False


def is_entry(entry: Any) -> bool:
    """Whether a value is an entry of a replay buffer, in a snapshot."""
    match entry:
        case [position, message, namespace, room, skipped]:
            return (
                is_number(position)
                and _is_sent(message)
                and is_name(namespace)
                and is_optional(room, lambda room: is_one_or_list(room, is_room_or_all))
                and type(skipped) is list
                and is_one_or_list(skipped, is_name)
            )
    return False


def is_dropped(client: Any) -> bool:
    """Whether a value is a disconnected session, in a snapshot."""
    match client:
        case [namespace, sid, rooms, data, start, offset, replayed, *counts]:
            return (
                is_list(counts, is_number)
                and is_name(namespace)
                and is_name(sid)
                and is_list(rooms, _is_entered)
                and is_optional(data, lambda value: type(value) is dict)
                and is_number(start)
                and is_optional(offset, is_name)
                and is_list(replayed, _is_sent)
            )
    return False


def _is_entered(room: Any) -> bool:
    return type(room) is list and len(room) == 2 and is_room(room[0]) and is_number(room[1])


def _is_sent(sent: Any) -> bool:
    """Whether a value is an offset, a packet and its attachments, in ASCII."""
    return (
        is_list(sent, lambda value: type(value) is str and value.isascii())
        and len(sent) >= 2
        and len(sent[0]) <= MAX_NAME
    )


def _is_seen_messages(value: Any) -> bool:
    """Whether a value is a snapshot of SeenMessages."""
    return (
        type(value) is dict
        and len(value) <= _MAX_SENDERS
        and all(is_sender(sender) and _is_seen_numbers(had) for sender, had in value.items())
    )


def _is_seen_numbers(value: Any) -> bool:
    match value:
        case [highest, str(had)]:
            return is_number(highest) and bool(_BITS.fullmatch(had))
    return False


def _is_session_end(body: Any) -> bool:
    match body:
        case {"visitor": visitor, **more}:
            return is_name(visitor) and type(more.get("signed_in_at", 0)) in (int, float)
    return False


_SUBJECTS: dict[str, Test] = {
    SESSION_END: _is_session_end,
    "peers": _is_heartbeat,
    "attendance": _is_presence,
    "recovery.ask": _is_question,
    "recovery.answer": _is_answer,
    "recovery.claim": _is_claim,
    "recovery.estate": _is_snapshot,
}
