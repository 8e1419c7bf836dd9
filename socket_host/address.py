"""The client's address, for counting connections: reported by trusted proxies, or the peer's."""

import socket
from typing import Any

_NETWORK = 8  # bytes of an IPv6 prefix that belongs to one customer: a /64
_MAPPED = bytes(10) + b"\xff\xff"  # prefix of an IPv4-mapped IPv6 address


class Addresses:
    """Finds clients' addresses behind a number of proxies, each of which adds to X-Forwarded-For.

    With `told_apart` False, all clients have the same address.
    """

    def __init__(self, proxies: int, *, told_apart: bool = True) -> None:
        self._proxies = proxies
        self._told_apart = told_apart

    def of_peer(self, peer: Any) -> bytes:
        """Return the counting key of a direct connection that has sent nothing yet."""
        return self.of(peer, None)

    def of(self, peer: Any, forwarded: str | None) -> bytes:
        """Return a client's counting key: an IPv4 address, or the /64 of an IPv6 address.

        `peer` is the connection's peer address, as sockets return it, and `forwarded` the header.
        Its rightmost address was added by the nearest proxy; everything left of the farthest
        proxy's entry was sent by the client, and is not trusted.
        """
        if not self._told_apart:
            return b""
        if self._proxies and forwarded:
            hops = forwarded.rsplit(",", self._proxies)[-self._proxies :]
            if address := _network(_bare(hops[0])):
                return address
        return _network(peer[0]) if isinstance(peer, tuple) else b""


def _bare(hop: str) -> str:
    """Return an address without the port and brackets that some proxies write."""
    hop = hop.strip()
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _network(address: str) -> bytes:
    try:
        if ":" not in address:
            return socket.inet_pton(socket.AF_INET, address)
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except (OSError, ValueError):
        return b""
    return packed[12:] if packed.startswith(_MAPPED) else packed[:_NETWORK]
