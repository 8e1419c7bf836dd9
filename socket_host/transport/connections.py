"""TCP connections: all of a host together, and those of one peer that carry no session."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

RESERVE = 32  # more than the limit, for requests after the host's health only


class Connections:
    """Counts a host's connections.

    `most` may be open at a time. `key`, if peers are told apart, says what one is counted by, and
    each may have `most_of_one` connections that carry no session.
    """

    def __init__(
        self,
        most: int = sys.maxsize - RESERVE,
        most_of_one: int = 0,
        key: Callable[[Any], bytes] | None = None,
    ) -> None:
        self.count = 0
        self.most = most
        self._most_of_one = most_of_one
        self._key = key
        self._idle: dict[bytes, int] = {}

    def open(self) -> bool:
        """Count a connection, which is to be closed at once if this returns False."""
        self.count += 1
        return self.count <= self.most + RESERVE

    def close(self) -> None:
        """Forget a connection that `open` has counted."""
        self.count -= 1

    @property
    def crowded(self) -> bool:
        """True if the connection that was opened last is one of the reserve."""
        return self.count > self.most

    def hold(self, transport: asyncio.BaseTransport) -> bytes | None:
        """Count a connection that carries no session yet; None if its peer has too many of them.

        Returns what `release` has to be given.
        """
        if self._key is None:
            return b""
        peer = self._key(transport.get_extra_info("peername"))
        if not peer:
            return b""
        held = self._idle.get(peer, 0)
        if held >= self._most_of_one:
            return None
        self._idle[peer] = held + 1
        return peer

    def release(self, peer: bytes | None) -> None:
        """Undo what `hold` did."""
        if not peer:
            return
        if self._idle[peer] > 1:
            self._idle[peer] -= 1
        else:
            del self._idle[peer]
