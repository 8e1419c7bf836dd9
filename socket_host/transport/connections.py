"""Limits on TCP connections: on the host's total, and on one peer's that carry no session."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

RESERVE = 32  # connections beyond the limit, which are accepted only for health checks


class Connections:
    """Counts a host's connections, of which `most` may be open at a time.

    If `key` is given, it turns a peer's name into the address the peer is counted by, and each
    address may have `most_of_one` connections that carry no session.
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
        """Count a connection; return False if it must be closed at once."""
        self.count += 1
        return self.count <= self.most + RESERVE

    def close(self) -> None:
        """Stop counting a connection that `open` counted."""
        self.count -= 1

    @property
    def crowded(self) -> bool:
        """Whether the connection that was opened last is one of the reserve."""
        return self.count > self.most

    def hold(self, transport: asyncio.BaseTransport) -> bytes | None:
        """Count a connection that carries no session yet.

        Returns the peer, for `release`, or None if that peer has too many such connections.
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
        """Undo `hold`, given what it returned."""
        if not peer:
            return
        if self._idle[peer] > 1:
            self._idle[peer] -= 1
        else:
            del self._idle[peer]
