"""The transports: what carries events between clients and namespaces.

`protocol` says what a transport offers the host. `native` is ours, `stock` is python-socketio on
aiohttp as they come. `hooks` says what both ask a namespace, `bus_manager` how both use the bus.
"""
