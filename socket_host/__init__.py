"""The stateful half: a long-lived container that hosts the Socket.IO server."""
