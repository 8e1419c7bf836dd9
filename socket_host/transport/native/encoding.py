"""Encoding: from what handlers say to the Socket.IO packets that go out.

What a client library would hang up on is refused where it is emitted: numbers that JSON lacks,
too many attachments, and placeholders that stand for none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from socket_host.transport.limits import MOST_ATTACHMENTS
from socket_host.transport.native.message import Message
from socket_host.transport.native.socket_packet import (
    ACK,
    BINARY_ACK,
    BINARY_EVENT,
    EVENT,
)

MESSAGE = "4"  # Engine.IO's packet type


_BINARY = {EVENT: BINARY_EVENT, ACK: BINARY_ACK}


def _encoder() -> Callable[[Any], str]:
    encoder = json.JSONEncoder(separators=(",", ":"), check_circular=False, allow_nan=False)
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # not CPython
        return encoder.encode
    # What `encoder.encode` makes anew for every call, made once.
    escape = json.encoder.encode_basestring_ascii
    pieces = make(None, encoder.default, escape, None, ":", ",", False, False, False)
    return lambda data: "".join(pieces(data, 0))


# Raises TypeError for bytes, among others, and ValueError or RecursionError for what is no JSON.
encode = _encoder()


def not_json(kind: str, data: Any, why: object) -> ValueError:
    """Return the error that says what cannot be sent, and why."""
    what = f"The data of {data[0]!r:.100}" if kind == EVENT else "The answer"
    if isinstance(why, RecursionError):
        why = "it is nested too deeply, or contains itself"
    return ValueError(f"{what} cannot be sent as JSON: {why}.")


def encode_binary(kind: str, prefix: str, data: Any) -> Message:
    """Encode an event or ack with attachments; `prefix` stands before its JSON.

    Raises ValueError if something else in it is not JSON, for too many attachments, and for a
    dictionary that clients take for the place of one.
    """
    attachments: list[bytes] = []
    try:
        text = encode(_without_bytes(data, attachments))
    except (TypeError, ValueError, RecursionError) as error:
        raise not_json(kind, data, error) from None
    if kind not in _BINARY:
        raise not_json(kind, data, "only events and acks can have bytes in them")
    if len(attachments) > MOST_ATTACHMENTS:
        raise not_json(kind, data, f"clients take {MOST_ATTACHMENTS} attachments at the most")
    packet = f"{MESSAGE}{_BINARY[kind]}{len(attachments)}-{prefix}{text}"
    return Message.of(packet, *attachments)


def _without_bytes(data: Any, attachments: list[bytes]) -> Any:
    """Return `data` with a placeholder for each of its bytes, which are put into the list."""
    if isinstance(data, (bytes, bytearray)):
        attachments.append(bytes(data))
        return {"_placeholder": True, "num": len(attachments) - 1}
    if isinstance(data, (list, tuple)):
        return [_without_bytes(one, attachments) for one in data]
    if not isinstance(data, dict):
        return data
    if data.get("_placeholder"):
        raise ValueError("a dictionary with the key '_placeholder' cannot go beside bytes")
    return {key: _without_bytes(one, attachments) for key, one in data.items()}


def arguments_of(data: Any) -> Iterable[Any]:
    """Return the arguments of an event or an ack: a tuple is several, None is none."""
    if isinstance(data, tuple):
        return data
    return () if data is None else (data,)


def engine_message(encoded: str | bytes | list[str | bytes]) -> Message:
    """Return what python-socketio has encoded, as it goes out."""
    parts = encoded if isinstance(encoded, list) else [encoded]
    return Message.of(*(MESSAGE + part if isinstance(part, str) else bytes(part) for part in parts))
