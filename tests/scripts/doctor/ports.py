"""Ports for doctor to examine."""

import socket


def unused_port() -> int:
    """A port on which no server listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
