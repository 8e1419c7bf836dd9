"""The payloads: how long texts, rooms' names and message ids may be, on pages and in events."""

import re

LOBBY = "lobby"  # the room of a client that joins none

MAX_TEXT = 2_000  # characters of a message and of a room's current text
MAX_ID = 64  # characters of the client's message id; a UUID has 36

_ROOM = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


def is_room(name: object) -> bool:
    """Whether `name` can name a room: 1 to 64 small letters, digits and inner hyphens."""
    return isinstance(name, str) and _ROOM.fullmatch(name) is not None


def is_text(text: object) -> bool:
    """Whether it is a text short enough to keep, and Unicode.

    JSON can carry halves of characters, which UTF-8 cannot.
    """
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_message_id(id_: object) -> bool:
    """Whether a client's id of a message is one."""
    return is_text(id_) and 0 < len(str(id_)) <= MAX_ID
