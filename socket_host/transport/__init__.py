"""The fast transport: Engine.IO and Socket.IO underneath python-socketio's public interface.

From the network inwards: `front` looks at a connection's first request; `websocket` and `polling`
carry packets; `engine` keeps the sessions; `python_socketio` hands messages to the library and
brings back what it sends; `rooms` and `turn` write a broadcast to everybody at once.

A client that drops and comes back: `journal` keeps what was sent lately, `recovery` who may come
back, `replay` sends what was missed, and `handover` and `estate` bring all this from host to host.
"""

from socket_host.transport.python_socketio import (
    FanOut,
    NativeManager,
    SocketServer,
    VersionError,
)

__all__ = ["FanOut", "NativeManager", "SocketServer", "VersionError"]
