"""Socket.IO packets, version 5: parsing those that clients send."""

from __future__ import annotations

import re
import sys
from typing import Any, NamedTuple

from socket_host.transport.limits import MOST_ATTACHMENTS
from socket_host.transport.native.reasons import PacketError
from socket_host.transport.strict_json import scan_again, scan_once

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = "0123456"
PLAIN = {BINARY_EVENT: EVENT, BINARY_ACK: ACK}  # the same packets without attachments
_LONGEST_ACK = 15  # digits
_PACKET = re.compile(
    r"([012356])(?:([0-9]{1,4})-)?(?:(/[^,]*)(?:,|$))?([0-9]{1,15})?(.*)", re.DOTALL
)


class Packet(NamedTuple):
    """A parsed packet; `attachments` is how many binary messages follow it."""

    kind: str
    namespace: str
    ack: int | None
    data: Any
    attachments: int = 0


_PLAIN_CONNECT = Packet(CONNECT, "/", None, None)  # by far the most common CONNECT


def plain_event(text: str) -> tuple[int | None, list[Any]] | None:
    """Return the ack and the arguments of an event of the main namespace; None for other packets.

    A fast path, since nearly all packets are like that; `parse` handles them too. Raises
    PacketError.
    """
    if text[:1] != EVENT:
        return None
    start = text.find("[")
    ack = text[1:start]
    if start < 1 or (ack and not (ack.isdecimal() and ack.isascii())):
        return None
    arguments = _json(text, start)
    if not arguments or len(ack) > _LONGEST_ACK:
        raise PacketError("payload does not fit the packet's type")
    return int(ack) if ack else None, arguments


def parse(text: str) -> Packet:
    """Return the packet in `text`; raises PacketError."""
    if text == CONNECT:
        return _PLAIN_CONNECT
    match = _PACKET.fullmatch(text)
    if match is None:
        raise PacketError("not a Socket.IO packet")
    kind, attachments, namespace, ack, payload = match.groups()
    binary = kind in PLAIN
    if binary != (attachments is not None):
        raise PacketError("number of attachments is missing or does not belong there")
    packet = Packet(
        PLAIN.get(kind, kind),
        (namespace or "/").partition("?")[0],
        int(ack) if ack else None,
        _json(payload) if payload else None,
        int(attachments or 0),
    )
    if packet.attachments > MOST_ATTACHMENTS:
        raise PacketError("too many attachments")
    _check(packet)
    return packet


def _json(text: str, start: int = 0) -> Any:
    try:
        data, end = scan_once(text, start)
    except (ValueError, StopIteration, RecursionError) as error:
        try:
            data, end = scan_again(text, start, error)
        except ValueError:
            raise PacketError("payload is not JSON") from None
    if end != len(text) and not text[end:].isspace():
        raise PacketError("payload is followed by something else")
    return data


def _check(packet: Packet) -> None:
    data = packet.data
    if packet.kind == EVENT:
        fine = isinstance(data, list) and bool(data)
    elif packet.kind == ACK:
        fine = isinstance(data, list) and packet.ack is not None
    else:
        # What a client sends with CONNECT is for the connect handler to judge.
        fine = data is None or packet.kind == CONNECT
    if not fine:
        raise PacketError("payload does not fit the packet's type")


class Partial:
    """A packet whose attachments have not all arrived.

    It is kept as text, because it takes far more memory when parsed.
    """

    __slots__ = ("_allowance", "_attachments", "_missing", "_text", "size")

    def __init__(self, text: str, packet: Packet, limit: int) -> None:
        """Start with a packet's text; with all attachments it may have `limit` bytes."""
        self._text = text
        self._missing = packet.attachments
        self._allowance = limit - len(text)
        self._attachments: list[bytes | None] = []
        self.size = sys.getsizeof(text)  # bytes of memory, so far

    def add(self, attachment: str | bytes) -> Packet | None:
        """Add the next attachment; return the packet if it was the last. Raises PacketError."""
        if isinstance(attachment, str):
            raise PacketError("text instead of an attachment")
        self.size += sys.getsizeof(attachment)
        self._allowance -= len(attachment)
        if self._allowance < 0:
            raise PacketError("attachments are too large")
        self._attachments.append(attachment)
        self._missing -= 1
        return None if self._missing else self._complete()

    def _complete(self) -> Packet:
        packet = parse(self._text)
        try:
            return packet._replace(data=self._filled(packet.data))
        except (LookupError, TypeError, RecursionError):
            raise PacketError("placeholder without an attachment") from None

    def _filled(self, data: Any) -> Any:
        if isinstance(data, list):
            return [self._filled(one) for one in data]
        if not isinstance(data, dict):
            return data
        if data.get("_placeholder") is True:
            return self._attachment(data["num"])
        return {key: self._filled(one) for key, one in data.items()}

    def _attachment(self, number: int) -> bytes:
        """Return an attachment. Each can be used once, or a small packet could become large."""
        attachment = self._attachments[number] if number >= 0 else None
        if attachment is None:
            raise IndexError(number)
        self._attachments[number] = None
        return attachment
