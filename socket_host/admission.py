"""Admission: what a request must pass before it reaches Socket.IO, whatever transport it is for."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from socket_host.origin import Origins

# Connections beyond the limit that get as far as Socket.IO, where the refusal can be said in words
# that reach the page. Each is gone again at once, or after the transport's patience with it.
_MARGIN = 100

_FEW = 10  # connections that everybody may have, however small the host

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rejection:
    """The HTTP answer to a request that may not pass."""

    status: int
    text: str


# Is given the Origin of a request, whether it would open a connection, and the client's address.
Check = Callable[[str | None, bool, bytes], Rejection | None]


class Usage(Protocol):
    """How many connections there are."""

    @property
    def waiting(self) -> int:
        """How many of them have not joined a namespace."""

    def of(self, address: bytes) -> tuple[int, int]:
        """Return how many an address has, and how many of these have not joined."""

    def make_room(self) -> bool:
        """Let one go that could have joined by now; tell if there was one."""


class Admission:
    """Decides about every request for the socket path.

    Those who have not joined may have a tenth of the connections. One address may have half of
    them, but `most_of_one` at the most, and a quarter of what may wait; 0 stands for all.
    """

    def __init__(self, origins: Origins, max_connections: int, most_of_one: int = 0) -> None:
        self.draining = False
        self.refused: Counter[str] = Counter()
        self._origins = origins
        self._most = max_connections + _MARGIN
        self._most_waiting = max(_FEW, max_connections // 10)
        if most_of_one:
            self.most_of_one = max(_FEW, min(most_of_one, max_connections // 2))
            self._waiting_of_one = max(_FEW // 2, self._most_waiting // 4)
        else:
            self.most_of_one = self._waiting_of_one = self._most

    def check(
        self,
        origin: str | None,
        *,
        opens: bool,
        connections: int = 0,
        usage: Usage | None = None,
        address: bytes = b"",
    ) -> Rejection | None:
        """Return why a request may not pass, or None if it may.

        `opens` says that it would open a connection, not go on with one; `connections` is how
        many there are.
        """
        if not self._origins.allow(origin):
            # Which origin is the right one stands in the log, not in the answer to a stranger.
            text = f"Pages of {ascii((origin or '')[:200])[1:-1]} may not connect to this host: "
            return self._reject("origin", 403, f"{text}its PUBLIC_ORIGIN does not name them.")
        if not opens:
            return None
        if self.draining:
            return self._reject("draining", 503, "This host is going away. Please connect again.")
        if connections >= self._most:
            return self._reject("connections", 503, "This host is full. Please try again later.")
        return self._check_usage(usage, address) if usage else None

    def _check_usage(self, usage: Usage, address: bytes) -> Rejection | None:
        held, waiting = usage.of(address)
        if held >= self.most_of_one or waiting >= self._waiting_of_one:
            if not self.refused["address"]:
                _log.warning(
                    "Refused a connection: its address has %d already, of which %d have not joined."
                    " If it is a proxy of yours, say with PROXIES how many there are."
                    " See MAX_PER_ADDRESS.",
                    held,
                    waiting,
                )
            text = "Too many connections from your network. Please try again later."
            return self._reject("address", 429, text)
        if usage.waiting >= self._most_waiting and not usage.make_room():
            return self._reject("waiting", 503, "This host is busy. Please try again later.")
        return None

    def _reject(self, reason: str, status: int, text: str) -> Rejection:
        self.refused[reason] += 1
        return Rejection(status, text + "\n")
