"""An outgoing message, encoded once for all its recipients."""

from __future__ import annotations

from typing import NamedTuple

from socket_host.transport.native.frames import packet_frame

SEPARATOR = "\x1e"  # between the packets of one polling payload


class Message(NamedTuple):
    """Engine.IO packets that belong together, also encoded as websocket frames.

    A packet is text that begins with its type, or the bytes of a binary message.
    """

    packets: tuple[str | bytes, ...]
    frames: bytes

    @classmethod
    def text(cls, packet: str) -> Message:
        """Encode one text packet, like `of` but faster."""
        return cls((packet,), packet_frame(packet))

    @classmethod
    def of(cls, *packets: str | bytes) -> Message:
        """Encode packets that must be sent with nothing between them."""
        if len(packets) == 1:
            return cls(packets, packet_frame(packets[0]))
        return cls(packets, b"".join(map(packet_frame, packets)))
