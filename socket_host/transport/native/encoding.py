"""Encoding: from Socket.IO packets to what goes out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from socket_host.transport.native.message import Message

MESSAGE = "4"  # Engine.IO's packet type


def _encoder() -> Callable[[Any], str]:
    encoder = json.JSONEncoder(separators=(",", ":"), check_circular=False)
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # not CPython
        return encoder.encode
    # What `encoder.encode` makes anew for every call, made once.
    escape = json.encoder.encode_basestring_ascii
    pieces = make(None, encoder.default, escape, None, ":", ",", False, False, True)
    return lambda data: "".join(pieces(data, 0))


encode = _encoder()


def arguments_of(data: Any) -> Iterable[Any]:
    """Return the arguments of an event or an ack: a tuple is several, None is none."""
    if isinstance(data, tuple):
        return data
    return () if data is None else (data,)


def engine_message(encoded: str | bytes | list[str | bytes]) -> Message:
    """Return what python-socketio has encoded, as it goes out."""
    parts = encoded if isinstance(encoded, list) else [encoded]
    return Message.of(*(MESSAGE + part if isinstance(part, str) else bytes(part) for part in parts))
