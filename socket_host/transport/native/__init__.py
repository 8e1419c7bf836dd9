"""The native transport: Engine.IO and Socket.IO underneath python-socketio's public interface.

From the network inwards: `acceptor` looks at a connection's first request; `websocket` and
`polling` carry packets; `engine` keeps the sessions; `socket_server` answers what clients send,
with `connecting` for new ones; `manager` keeps the `rooms`, and writes a broadcast to all clients
at once by a `write_batch`. `engine_server` is python-socketio's interface to the engine.

When a client drops and reconnects: `replay_buffer` keeps recent events, `recovery` the disconnected
sessions, `replay` sends what was missed, and `session_migration` and `shutdown_snapshot` carry all
this from host to host.
"""
