"""Encoding: turns the data of events and acks into Socket.IO packets.

Data on which client libraries would close the connection is an error here: numbers that JSON lacks,
too many attachments, and placeholders without an attachment.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from socket_host.transport.native.message import Message
from socket_host.transport.native.packet_types import MESSAGE
from socket_host.transport.native.socket_packet import (
    ACK,
    BINARY_ACK,
    BINARY_EVENT,
    EVENT,
)
from socket_host.transport.strict_json import detach, encode, not_json

_BINARY = {EVENT: BINARY_EVENT, ACK: BINARY_ACK}


def encode_binary(kind: str, prefix: str, data: Any) -> Message:
    """Encode an event or ack with attachments; `prefix` comes before its JSON.

    Raises ValueError if anything but bytes in it is not JSON, for too many attachments, and for a
    dictionary that looks like an attachment's placeholder.
    """
    event = event_of(kind, data)
    try:
        rest, attachments = detach(data)
        text = encode(rest)
    except (TypeError, ValueError, RecursionError) as error:
        raise not_json(event, error) from None
    if kind not in _BINARY:
        raise not_json(event, "only events and acks can contain bytes")
    packet = f"{MESSAGE}{_BINARY[kind]}{len(attachments)}-{prefix}{text}"
    return Message.of(packet, *attachments)


def event_of(kind: str, data: Any) -> str | None:
    """Return the name of the event in a packet's data; None if the packet is not an event."""
    return data[0] if kind == EVENT else None


def arguments_of(data: Any) -> Iterable[Any]:
    """Return the arguments of an event or ack: several for a tuple, none for None, else one."""
    if isinstance(data, tuple):
        return data
    return () if data is None else (data,)


def engine_message(encoded: str | bytes | list[str | bytes]) -> Message:
    """Return the Engine.IO message for a packet that python-socketio has encoded."""
    parts = encoded if isinstance(encoded, list) else [encoded]
    return Message.of(*(MESSAGE + part if isinstance(part, str) else bytes(part) for part in parts))
