"""Limits of texts, room names and message ids, on pages and in events."""

import re
import unicodedata

LOBBY = "lobby"  # the room of clients that have not chosen one

MAX_TEXT = 2_000  # characters of a message and of a room's current text
MAX_ID = 64  # characters of the client's message id; a UUID has 36

# Fillers, joiners and selectors that are invisible, though Unicode calls them letters or marks.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
_NOTHING = ("Cc", "Cf", "Zs", "Zl", "Zp")  # categories: controls, formats, spaces

_CONTROL = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # all but tabs and line ends

_ROOM = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


def is_room(name: object) -> bool:
    """Whether `name` is a room name: 1 to 64 lower-case letters, digits and inner hyphens."""
    return isinstance(name, str) and _ROOM.fullmatch(name) is not None


def is_text(text: object) -> bool:
    """Whether `text` is a string that can be stored: short, valid Unicode, no control characters.

    JSON can hold lone surrogates, which UTF-8 cannot.
    """
    if not isinstance(text, str) or len(text) > MAX_TEXT or _CONTROL.search(text):
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_blank(text: str) -> bool:
    """Whether a text is invisible: empty, or made of spaces, joiners and the like."""
    return all(unicodedata.category(one) in _NOTHING for one in _INVISIBLE.sub("", text))


def is_message_id(id_: object) -> bool:
    """Whether `id_` is a valid message id from a client."""
    return is_text(id_) and 0 < len(str(id_)) <= MAX_ID
