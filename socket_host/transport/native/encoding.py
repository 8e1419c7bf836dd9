"""Encoding: turns the data of events and acks into Socket.IO packets.

Data on which client libraries would close the connection is an error here: numbers that JSON lacks,
too many attachments, and placeholders without an attachment.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from socket_host.transport.limits import MOST_ATTACHMENTS
from socket_host.transport.native.message import Message
from socket_host.transport.native.packet_types import MESSAGE
from socket_host.transport.native.socket_packet import (
    ACK,
    BINARY_ACK,
    BINARY_EVENT,
    EVENT,
)
from socket_host.transport.strict_json import PLACEHOLDER

_BINARY = {EVENT: BINARY_EVENT, ACK: BINARY_ACK}


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


def not_json(kind: str, data: Any, why: object) -> ValueError:
    """Return an error that says which data cannot be sent, and why."""
    what = f"The data of {data[0]!r:.100}" if kind == EVENT else "The answer"
    if isinstance(why, RecursionError):
        why = "it is nested too deeply or contains itself"
    return ValueError(f"{what} cannot be sent as JSON: {why}.")


def encode_binary(kind: str, prefix: str, data: Any) -> Message:
    """Encode an event or ack with attachments; `prefix` comes before its JSON.

    Raises ValueError if anything but bytes in it is not JSON, for too many attachments, and for a
    dictionary that looks like an attachment's placeholder.
    """
    attachments: list[bytes] = []
    try:
        text = encode(without_bytes(data, attachments))
    except (TypeError, ValueError, RecursionError) as error:
        raise not_json(kind, data, error) from None
    if kind not in _BINARY:
        raise not_json(kind, data, "only events and acks can contain bytes")
    if len(attachments) > MOST_ATTACHMENTS:
        raise not_json(kind, data, f"clients accept at most {MOST_ATTACHMENTS} attachments")
    packet = f"{MESSAGE}{_BINARY[kind]}{len(attachments)}-{prefix}{text}"
    return Message.of(packet, *attachments)


def has_bytes(data: Any) -> bool:
    """Return whether there are bytes in the data; raise RecursionError if it is too deep."""
    if isinstance(data, (list, tuple)):
        return any(map(has_bytes, data))
    if isinstance(data, dict):
        return any(map(has_bytes, data.values()))
    return isinstance(data, (bytes, bytearray))


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


def arguments_of(data: Any) -> Iterable[Any]:
    """Return the arguments of an event or ack: several for a tuple, none for None, else one."""
    if isinstance(data, tuple):
        return data
    return () if data is None else (data,)


def engine_message(encoded: str | bytes | list[str | bytes]) -> Message:
    """Return the Engine.IO message for a packet that python-socketio has encoded."""
    parts = encoded if isinstance(encoded, list) else [encoded]
    return Message.of(*(MESSAGE + part if isinstance(part, str) else bytes(part) for part in parts))
