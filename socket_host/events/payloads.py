"""The payloads that clients send: each function takes what came in and gives what was meant.

All raise EventError, with a sentence for whoever writes the client, if it has another form.
"""

from typing import Any

from functions.model.payloads import MAX_ID, MAX_TEXT, is_blank, is_message_id, is_room, is_text
from socket_host.event_error import EventError

MAX_SEQ = 2**53 - 1  # the largest whole number JavaScript can count to


def joined(data: Any) -> tuple[str, int | None]:
    """Read `{room, after?}`: the room, and the last message seen there if any."""
    match data:
        case {"room": room, **rest} if is_room(room):
            after = rest.get("after")
            return room, None if after is None else _seq(after)
    raise EventError(
        "To join, send {room}: 1 to 64 small letters, digits and hyphens, no hyphen first."
    )


def after(data: Any) -> int:
    """Read `{after}`: the last message seen."""
    return _seq(data.get("after") if isinstance(data, dict) else None)


def message(data: Any) -> tuple[str, str]:
    """Read `{id, text}`: the client's own id of a message, and what it says."""
    match data:
        case {"id": str(id_), "text": message_text} if is_message_id(id_):
            if not is_blank(text(message_text)):
                return id_, message_text
            raise EventError("A message needs a text that is not blank.")
    raise EventError(f"A message is {{id, text}}, where id is a text of 1 to {MAX_ID} characters.")


def text(data: Any) -> str:
    """Read a text of bounded length."""
    if isinstance(data, str) and is_text(data):
        return data
    raise EventError(
        f"A text may have up to {MAX_TEXT} characters, valid Unicode without control characters."
    )


def flag(data: Any) -> bool:
    """Read true or false."""
    if isinstance(data, bool):
        return data
    raise EventError("Send true or false.")


def _seq(data: Any) -> int:
    if isinstance(data, int) and not isinstance(data, bool) and 0 <= data <= MAX_SEQ:
        return data
    raise EventError("`after` is the number of the last message seen: 0 or more.")
