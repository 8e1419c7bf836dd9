"""The benchmark: this host, stock python-socketio and Node socket.io, measured side by side."""
