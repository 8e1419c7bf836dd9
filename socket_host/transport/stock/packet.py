"""Socket.IO packets, within bounds, and in JSON that every client reads."""

from typing import Any

import socketio.packet  # type: ignore[import-untyped]  # python-socketio ships no types

from socket_host.transport import strict_json
from socket_host.transport.limits import MOST_ATTACHMENTS


class Packet(socketio.packet.Packet):  # type: ignore[misc]  # python-socketio ships no types
    """A Socket.IO packet with a bounded number of attachments."""

    json = strict_json

    def decode(self, encoded_packet: str) -> int:
        """Read a packet; raise ValueError if it announces too many attachments."""
        attachments: int = super().decode(encoded_packet)
        if attachments > MOST_ATTACHMENTS:
            raise ValueError("too many attachments")
        return attachments

    @classmethod
    def _deconstruct_binary_internal(cls, data: Any, attachments: list[Any]) -> Any:
        if isinstance(data, dict) and data.get("_placeholder"):
            raise ValueError("a dictionary with the key '_placeholder' cannot go beside bytes")
        if isinstance(data, bytearray):
            data = bytes(data)  # else python-engineio sends it as text, which ends the connection
        return super()._deconstruct_binary_internal(data, attachments)


def ack(namespace: str | None, id_: int, answer: Any) -> Packet:
    """Return the packet that answers an event."""
    return Packet(socketio.packet.ACK, namespace=namespace, id=id_, data=[answer])


def measure(kind: int, data: list[Any]) -> int:
    """Return how many bytes an event or ack takes.

    Raises ValueError if it cannot be sent, as what is no JSON, or if clients would hang up on it.
    """
    try:
        encoded = Packet(kind, data=data).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"The data cannot be sent as JSON: {error}.") from None
    if isinstance(encoded, str):
        return len(encoded)
    if len(encoded) > 1 + MOST_ATTACHMENTS:
        raise ValueError(f"Clients take {MOST_ATTACHMENTS} attachments at the most.")
    return sum(map(len, encoded))
