"""JSON as every client reads it: no NaN, no Infinity, and no number that only Python can hold.

What a client sends of these becomes null, as JavaScript would have written it. What a handler emits
of these is refused, for a client that read it would end its connection.
"""

from __future__ import annotations

import json
import math
from typing import Any


def _number(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _whole_number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:  # more digits than Python converts
        return None


# Whole numbers go through a function of Python only where they have to: that takes much longer.
_decoder = json.JSONDecoder(parse_constant=lambda name: None, parse_float=_number)
_patient = json.JSONDecoder(
    parse_constant=lambda name: None, parse_float=_number, parse_int=_whole_number
)
# What `raw_decode` calls, a layer less. Raises StopIteration and RecursionError too.
scan_once = _decoder.scan_once  # type: ignore[attr-defined]  # typeshed lacks it


def scan_again(text: str, start: int, error: BaseException) -> tuple[Any, int]:
    """Return what `scan_once` would have returned, had it not met a number with too many digits.

    `error` is what it raised. Raises ValueError if something else was wrong.
    """
    if type(error) is not ValueError:
        raise ValueError("not JSON, or nested too deeply") from None
    try:
        return _patient.raw_decode(text, start)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def loads(text: str, **options: Any) -> Any:
    """Do as `json.loads` does, for python-socketio's packets; raise ValueError."""
    try:
        return _patient.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def dumps(value: Any, **options: Any) -> str:
    """Do as `json.dumps` does, but raise ValueError for a number that JSON lacks."""
    return json.dumps(value, **options | {"allow_nan": False})
