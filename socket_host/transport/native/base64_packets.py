"""Binary packets as text: `b` and base64, by polling always, by websocket if the client asks."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any

from socket_host.transport.native import frames

_SPELLINGS = str.maketrans("-_", "+/", " \t\r\n")


def decode(packet: str) -> bytes:
    """Return the bytes of a packet that begins with `b`; raises ValueError.

    Takes what Node takes: line breaks, no padding, and the letters that are for URLs.
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
    """A transport that writes binary frames as text, for a client that asked for `b64`."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write frames; what is no frame, as the answer to a handshake, must not come here."""
        pieces = []
        for opcode, payload in frames.own_frames(data):
            if opcode == frames.BINARY:
                pieces.append(frames.packet_frame(encode(payload)))
            else:
                pieces.append(frames.frame(opcode, payload))
        self._transport.write(b"".join(pieces))
