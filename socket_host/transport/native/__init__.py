"""The native transport: Engine.IO and Socket.IO underneath python-socketio's public interface.

From the network inwards: `front` looks at a connection's first request; `websocket` and `polling`
carry packets; `engine` keeps the sessions; `socket_server` has what clients send answered, with
`connecting` for those who come; `manager` keeps the `rooms`, and with `turn` writes a broadcast to
everybody at once. `engine_server` is python-socketio's interface to the engine.

A client that drops and comes back: `journal` keeps what was sent lately, `recovery` who may come
back, `replay` sends what was missed, and `handover` and `estate` bring all this from host to host.
"""
