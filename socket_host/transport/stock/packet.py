"""Socket.IO packets of bounded size, in JSON that every client can read."""

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
    def data_is_binary(cls, data: Any) -> bool:
        """Return whether there are bytes in the data, also in a tuple."""
        try:
            return strict_json.has_bytes(data)
        except RecursionError:  # which `encode` will report
            return False

    @classmethod
    def _deconstruct_binary_internal(cls, data: Any, attachments: list[Any]) -> Any:
        return strict_json.without_bytes(data, attachments)


def ack(namespace: str | None, id_: int, answer: Any) -> Packet:
    """Return the packet that answers an event."""
    return Packet(socketio.packet.ACK, namespace=namespace, id=id_, data=[answer])


def connect_error(namespace: str | None, message: str) -> Packet:
    """Return the packet that refuses a client."""
    return Packet(socketio.packet.CONNECT_ERROR, namespace=namespace, data={"message": message})


def measure(kind: int, data: list[Any]) -> int:
    """Return the size of an event or ack in bytes.

    Raises ValueError if it is not JSON, or if clients would close the connection on it.
    """
    event = data[0] if kind == socketio.packet.EVENT else None
    try:
        encoded = Packet(kind, data=data).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise strict_json.not_json(event, error) from None
    if isinstance(encoded, str):
        return len(encoded)
    if len(encoded) > 1 + MOST_ATTACHMENTS:
        raise strict_json.not_json(event, strict_json.TOO_MANY_ATTACHMENTS)
    return sum(map(len, encoded))
