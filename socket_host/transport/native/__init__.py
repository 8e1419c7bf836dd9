"""The native transport: Engine.IO and Socket.IO underneath python-socketio's public interface.

From the network inwards: `acceptor` reads the first request of each connection; `websocket` and
`polling` carry packets; `engine` keeps the sessions, and `upgrades` their upgrades; `socket_server`
handles what clients send, and `connecting` their CONNECT packets; `manager` keeps the `rooms`, and
sends broadcasts through a `write_batch`. `engine_server` is python-socketio's interface to the
engine.

For clients that reconnect: `replay_buffer` keeps recent events, `recovery` keeps disconnected
sessions, and `replay` sends missed events. `session_migration` and `shutdown_snapshot` move all of
this between hosts.
"""
