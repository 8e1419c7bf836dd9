"""Admission: the checks before a request reaches Socket.IO, on any transport."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from socket_host.origin import Origins

# Connections above the limit that are passed on to Socket.IO, so that the refusal can include a
# message for the page. Each is closed at once, or at the transport's deadline for joining.
_MARGIN = 100

_FEW = 10  # the minimum of each share

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rejection:
    """The HTTP response to a rejected request."""

    status: int
    text: str


# Called with a request's Origin, whether it would open a connection, and the client's address.
Check = Callable[[str | None, bool, bytes], Rejection | None]


class Usage(Protocol):
    """Counts of connections."""

    @property
    def waiting(self) -> int:
        """The number of connections that have not joined a namespace."""

    def of(self, address: bytes) -> tuple[int, int]:
        """Return the number of an address's connections, and of those that have not joined."""

    def make_room(self) -> bool:
        """Close a connection that should have joined by now; return whether there was one."""


class Admission:
    """Decides about every request for the socket path.

    Clients that have not joined may take a tenth of the connections. One address may take half of
    all connections, but at most `most_of_one` (0: no limit), and a quarter of those not joined.
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
        """Return why a request is rejected, or None if it is not.

        `opens` is whether it would open a connection, not continue one; `connections` is their
        current number.
        """
        if not self._origins.allow(origin):
            # The expected origin is in the log, not in the response to a stranger.
            text = f"Pages of {ascii((origin or '')[:200])[1:-1]} may not connect to this host: "
            return self._reject("origin", 403, f"{text}its PUBLIC_ORIGIN does not include them.")
        if not opens:
            return None
        if self.draining:
            return self._reject("draining", 503, "This host is stopping. Please connect again.")
        if connections >= self._most:
            return self._reject("connections", 503, "This host is full. Please try again later.")
        return self._check_usage(usage, address) if usage else None

    def _check_usage(self, usage: Usage, address: bytes) -> Rejection | None:
        held, waiting = usage.of(address)
        if held >= self.most_of_one or waiting >= self._waiting_of_one:
            if not self.refused["address"]:
                _log.warning(
                    "Refused a connection: its address has %d already, of which %d have joined no "
                    "namespace. The limit is MAX_PER_ADDRESS. If the address is that of a proxy of "
                    "yours, set PROXIES to the number of proxies.",
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
