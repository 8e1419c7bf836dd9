"""The transports, which carry events between clients and namespaces.

`native` is this project's own; `stock` is python-socketio on aiohttp, with limits. `protocol` is
the interface of both, `hooks` is what they call on a namespace, and `bus_manager` connects them to
the bus.
"""
