"""JSON that every client can read: no NaN, no Infinity, and no number that only Python can hold.

Where a client sends such a number, it is read as null, which JavaScript would have written. Where a
handler emits one, that is an error, because a client that read it would close its connection.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from socket_host.transport.limits import MOST_ATTACHMENTS

# Why data with bytes is refused: clients would take such a dictionary for an attachment.
PLACEHOLDER = "data with bytes in it cannot have a dictionary with the key '_placeholder'"
TOO_MANY_ATTACHMENTS = f"clients accept at most {MOST_ATTACHMENTS} attachments"


def _number(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _whole_number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:  # more digits than Python converts
        return None


# Only the second decoder calls Python for each integer, which makes it much slower.
_decoder = json.JSONDecoder(parse_constant=lambda name: None, parse_float=_number)
_lenient = json.JSONDecoder(
    parse_constant=lambda name: None, parse_float=_number, parse_int=_whole_number
)
# The function that `raw_decode` wraps. Also raises StopIteration and RecursionError.
scan_once = _decoder.scan_once  # type: ignore[attr-defined]  # typeshed lacks it


def scan_again(text: str, start: int, error: BaseException) -> tuple[Any, int]:
    """Parse what made `scan_once` raise `error`, this time with numbers of any length.

    Raises ValueError if the text is not JSON, or is nested too deeply.
    """
    if type(error) is not ValueError:
        raise ValueError("not JSON, or nested too deeply") from None
    try:
        return _lenient.raw_decode(text, start)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def loads(text: str, **options: Any) -> Any:
    """Like `json.loads`, for python-socketio's packets; raises ValueError."""
    try:
        return _lenient.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def dumps(value: Any, **options: Any) -> str:
    """Like `json.dumps`, but raises ValueError for a number that JSON lacks."""
    return json.dumps(value, **options | {"allow_nan": False})


def _encoder() -> Callable[[Any], str]:
    encoder = json.JSONEncoder(separators=(",", ":"), check_circular=False, allow_nan=False)
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # not CPython
        return encoder.encode
    # `encoder.encode` creates this for every call.
    escape = json.encoder.encode_basestring_ascii
    pieces = make(None, encoder.default, escape, None, ":", ",", False, False, False)
    return lambda data: "".join(pieces(data, 0))


# Raises TypeError for bytes and other objects that are not JSON, ValueError for numbers that JSON
# lacks, and RecursionError for data that is nested too deeply.
encode = _encoder()


def has_bytes(data: Any) -> bool:
    """Return whether there are bytes in the data; raises RecursionError if it is too deep."""
    if isinstance(data, (list, tuple)):
        return any(map(has_bytes, data))
    if isinstance(data, dict):
        return any(map(has_bytes, data.values()))
    return isinstance(data, (bytes, bytearray))


def detach(data: Any) -> tuple[Any, list[bytes]]:
    """Return data with placeholders for its bytes objects, and these as a list of attachments.

    Raises ValueError for too many attachments, and for a dictionary that looks like a placeholder,
    and RecursionError for data that is nested too deeply.
    """
    attachments: list[bytes] = []
    rest = without_bytes(data, attachments)
    if len(attachments) > MOST_ATTACHMENTS:
        raise ValueError(TOO_MANY_ATTACHMENTS)
    return rest, attachments


def without_bytes(data: Any, attachments: list[bytes]) -> Any:
    """Return `data` with its bytes objects moved to the list, and placeholders in their place.

    Raises ValueError for a dictionary that looks like a placeholder, and RecursionError.
    """
    if isinstance(data, (bytes, bytearray)):
        attachments.append(bytes(data))
        return {"_placeholder": True, "num": len(attachments) - 1}
    if isinstance(data, (list, tuple)):
        return [without_bytes(one, attachments) for one in data]
    if not isinstance(data, dict):
        return data
    if data.get("_placeholder"):
        raise ValueError(PLACEHOLDER)
    return {key: without_bytes(one, attachments) for key, one in data.items()}


def not_json(event: object, why: object) -> ValueError:
    """Return an error that says which event's data cannot be sent, and why; None is an ack."""
    what = "The answer" if event is None else f"The data of {event!r:.100}"
    if isinstance(why, RecursionError):
        why = "it is nested too deeply or contains itself"
    return ValueError(f"{what} cannot be sent as JSON: {why}.")
