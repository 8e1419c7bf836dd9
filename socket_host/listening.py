"""The listening socket, bound before anything else starts, to find out early if a port is taken."""

import errno
import socket

from functions.contract.setting import StartError


class ListenError(StartError):
    """The address cannot be listened on; the message says what to do."""


class PortTakenError(ListenError):
    """Another program listens on the port."""


def listen(bind: str, port: int) -> socket.socket:
    """Return a socket bound to an address; raise ListenError, or PortTakenError.

    `::` is all addresses, also those of IPv4 if the system allows it. A port that a previous host
    has just released can be bound; one that is in use cannot.
    """
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    try:
        both = bind == "::" and socket.has_dualstack_ipv6()
        return socket.create_server((bind, port), family=family, dualstack_ipv6=both)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError(
                f"Port {port} on {bind} is taken by another program. "
                "Stop that one, or choose another port with PORT."
            ) from None
        why = str(error.strerror).partition(" (while")[0]  # the rest repeats the address
        raise ListenError(
            f"Cannot listen on {bind}, port {port}: {why}. "
            "Choose another address with BIND and PORT."
        ) from None
