"""The stock transport: python-socketio on aiohttp as they come, within our limits."""
