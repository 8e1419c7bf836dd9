"""JSON that every client can read: no NaN, no Infinity, and no number that only Python can hold.

Where a client sends such a number, it is read as null, which JavaScript would have written. Where a
handler emits one, that is an error, because a client that read it would close its connection.
"""

from __future__ import annotations

import json
import math
from typing import Any

# Why data with bytes is refused: clients would take such a dictionary for an attachment.
PLACEHOLDER = "data with bytes in it cannot have a dictionary with the key '_placeholder'"


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
