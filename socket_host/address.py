"""The client's address, by which connections are counted: what trusted proxies say, or the peer."""

import socket
from typing import Any

_NETWORK = 8  # bytes of an IPv6 address that one customer has all of: a /64
_MAPPED = bytes(10) + b"\xff\xff"  # how an IPv4 address begins when it is written as IPv6


class Addresses:
    """Tells clients' addresses behind so many proxies, each of which adds to X-Forwarded-For.

    With `told_apart` False all have the same.
    """

    def __init__(self, proxies: int, *, told_apart: bool = True) -> None:
        self._proxies = proxies
        self._told_apart = told_apart

    def of_peer(self, peer: Any) -> bytes:
        """Return what a client is counted by that has said nothing yet, and has no proxy."""
        return self.of(peer, None)

    def of(self, peer: Any, forwarded: str | None) -> bytes:
        """Return what a client is counted by: an IPv4 address, or the /64 of an IPv6 one.

        `peer` is who the connection comes from, as sockets name it, `forwarded` the header. The
        rightmost address in that is what the nearest proxy has seen; left of what the farthest one
        has seen stands whatever the client likes.
        """
        if not self._told_apart:
            return b""
        if self._proxies and forwarded:
            hops = forwarded.rsplit(",", self._proxies)[-self._proxies :]
            if address := _network(_bare(hops[0])):
                return address
        return _network(peer[0]) if isinstance(peer, tuple) else b""


def _bare(hop: str) -> str:
    """Return an address without the port and the brackets that some proxies write."""
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
