"""Snapshots of an event's data, so that its caller may change the data before it is sent."""

from __future__ import annotations

import json
from typing import Any

from socket_host.transport.strict_json import detach, encode, not_json

_FIXED = frozenset([str, bool, type(None)])  # types that need no copy: immutable, and always JSON

_read = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # typeshed lacks it


def snapshot(event: str, data: Any) -> Any:
    """Return a copy of an event's data.

    Raises ValueError if it is not JSON, or if clients would close the connection on it.
    """
    if type(data) in _FIXED:
        return data
    try:
        # Encoding and decoding in C is faster than copying each container in Python.
        copied = _read(encode(data), 0)[0]
    except TypeError:  # it contains bytes, or something that is not JSON
        return _binary(event, data)
    except (ValueError, RecursionError) as error:
        raise not_json(event, error) from None
    return tuple(copied) if isinstance(data, tuple) else copied


def _binary(event: str, data: Any) -> Any:
    try:
        encode(detach(data)[0])
    except (TypeError, ValueError, RecursionError) as error:
        raise not_json(event, error) from None
    return _copy(data)


def _copy(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _copy(value) for key, value in data.items()}
    if isinstance(data, tuple):
        return tuple(map(_copy, data))
    if isinstance(data, list):
        return list(map(_copy, data))
    return bytes(data) if isinstance(data, bytearray) else data
