"""A message on its way out: encoded once, whoever gets it."""

from __future__ import annotations

from typing import NamedTuple

from socket_host.transport.native.frames import packet_frame

SEPARATOR = "\x1e"  # between the packets of one polling payload


class Message(NamedTuple):
    """Engine.IO packets that belong together, and the same as websocket frames.

    A packet is text that begins with its type, or the bytes of a binary message.
    """

    packets: tuple[str | bytes, ...]
    frames: bytes

    @classmethod
    def text(cls, packet: str) -> Message:
        """Encode one packet that is text, as `of` does, for those that answer every event."""
        return cls((packet,), packet_frame(packet))

    @classmethod
    def of(cls, *packets: str | bytes) -> Message:
        """Encode `packets`, which are sent without anything between them."""
        if len(packets) == 1:
            return cls(packets, packet_frame(packets[0]))
        return cls(packets, b"".join(map(packet_frame, packets)))
