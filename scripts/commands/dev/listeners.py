"""The sockets on which a browser finds `localhost`."""

import errno
import socket

_LOOPBACKS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


class PortError(Exception):
    """The port cannot be listened on; the text says why and what to do."""


def listen(port: int) -> list[socket.socket]:
    """Return sockets that listen on a port of this machine, by IPv4 and, where available, IPv6.

    Browsers try localhost on both, so another program must not own the port on either. Port 0 lets
    the system choose. Raises PortError.
    """
    sockets: list[socket.socket] = []
    try:
        for family, address in _LOOPBACKS:
            if listener := _listen(family, address, port):
                sockets.append(listener)
                port = listener.getsockname()[1]
    except PortError:
        for listener in sockets:
            listener.close()
        raise
    return sockets


def _listen(family: socket.AddressFamily, address: str, port: int) -> socket.socket | None:
    if port and _answers(family, address, port):
        raise _taken(port)
    try:
        return socket.create_server((address, port), family=family, backlog=1024)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise _taken(port) from None
        if family == socket.AF_INET6:
            return None  # this machine has no IPv6
        raise PortError(f"Port {port} cannot be used: {error.strerror}.") from None


def _answers(family: socket.AddressFamily, address: str, port: int) -> bool:
    """Whether a program listens: macOS lets two share a port if one listens on every address."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            return probe.connect_ex((address, port)) == 0
    except OSError:
        return False


def _taken(port: int) -> PortError:
    return PortError(
        f"Port {port} is used by another program. Stop that program, or choose another port: "
        f"scripts/dev --port {port + 1}"
    )
