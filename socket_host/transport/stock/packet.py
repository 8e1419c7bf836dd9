"""Socket.IO packets, within bounds."""

from typing import Any

import socketio.packet  # type: ignore[import-untyped]  # python-socketio ships no types

_MAX_ATTACHMENTS = 10  # of one event; each is a packet, and all are kept until the last is there


class Packet(socketio.packet.Packet):  # type: ignore[misc]  # python-socketio ships no types
    """A Socket.IO packet with a bounded number of attachments."""

    def decode(self, encoded_packet: str) -> int:
        """Read a packet; raise ValueError if it announces too many attachments."""
        attachments: int = super().decode(encoded_packet)
        if attachments > _MAX_ATTACHMENTS:
            raise ValueError("too many attachments")
        return attachments


def ack(namespace: str | None, id_: int, answer: Any) -> Packet:
    """Return the packet that answers an event."""
    return Packet(socketio.packet.ACK, namespace=namespace, id=id_, data=[answer])
