"""Reasons for which a session ends."""

# As python-engineio passes them to disconnect handlers.
SERVER_DISCONNECT, CLIENT_DISCONNECT = "server disconnect", "client disconnect"
PING_TIMEOUT, TRANSPORT_CLOSE = "ping timeout", "transport close"
TRANSPORT_ERROR = "transport error"


class PacketError(Exception):
    """A client sent an invalid packet; the message says what is wrong."""
