"""Why a session ends."""

# The reasons python-engineio gives to disconnect handlers.
SERVER_DISCONNECT, CLIENT_DISCONNECT = "server disconnect", "client disconnect"
PING_TIMEOUT, TRANSPORT_CLOSE = "ping timeout", "transport close"
TRANSPORT_ERROR = "transport error"


class PacketError(Exception):
    """A client sent what no client may send; the text says what."""
