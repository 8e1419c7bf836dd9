"""Admission: what a request must pass before it reaches Socket.IO, whatever transport it is for."""

from collections import Counter
from dataclasses import dataclass

from socket_host.origin import Origins

# Connections beyond the limit that get as far as Socket.IO, where the refusal can be said in words
# that reach the page. Each is gone again at once, or after the transport's patience with it.
_MARGIN = 100


@dataclass(frozen=True)
class Rejection:
    """The HTTP answer to a request that may not pass."""

    status: int
    text: str


class Admission:
    """Decides about every request for the socket path."""

    def __init__(self, origins: Origins, max_connections: int) -> None:
        self.draining = False
        self.refused: Counter[str] = Counter()
        self._origins = origins
        self._max = max_connections + _MARGIN

    def check(self, origin: str | None, *, opens: bool, connections: int) -> Rejection | None:
        """Return why a request may not pass, or None if it may.

        `opens` says that it would open a connection, not go on with one; `connections` is how
        many there are.
        """
        if not self._origins.allow(origin):
            # Which origin is the right one stands in the log, not in the answer to a stranger.
            return self._reject("origin", 403, "Pages of this origin may not connect here.")
        if opens and self.draining:
            return self._reject("draining", 503, "This host is going away. Please connect again.")
        if opens and connections >= self._max:
            return self._reject("connections", 503, "This host is full. Please try again later.")
        return None

    def _reject(self, reason: str, status: int, text: str) -> Rejection:
        self.refused[reason] += 1
        return Rejection(status, text + "\n")
