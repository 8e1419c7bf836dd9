"""Binary packets as text: `b` and base64. Polling always uses them, websockets on request."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any

from socket_host.transport.native import frames

_SPELLINGS = str.maketrans("-_", "+/", " \t\r\n")


def decode(packet: str) -> bytes:
    """Return the bytes of a packet that begins with `b`; raises ValueError.

    Accepts what Node accepts: line breaks, missing padding, and the URL-safe alphabet.
    """
    text = packet[1:].translate(_SPELLINGS).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None


def encode(packet: bytes) -> str:
    """Return a binary packet as text."""
    return "b" + base64.b64encode(packet).decode()


class Base64Transport:
    """A transport that writes binary frames as text, for clients that connect with `b64`."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write whole frames; nothing else may be written through this transport."""
        pieces = []
        for opcode, payload in frames.own_frames(data):
            if opcode == frames.BINARY:
                pieces.append(frames.packet_frame(encode(payload)))
            else:
                pieces.append(frames.frame(opcode, payload))
        self._transport.write(b"".join(pieces))
