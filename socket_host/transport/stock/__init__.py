"""The stock transport: python-socketio on aiohttp, with this host's limits."""
