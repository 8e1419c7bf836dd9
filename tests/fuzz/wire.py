"""A bus whose messages come from a test, and which discards those of its host."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from socket_host.bus.outbox import Entry
from socket_host.bus.shared import SharedBus


class Wire(SharedBus):
    """A bus that is a queue, and accepts all messages at once."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[dict[str, Any]] = []
        self.incoming: asyncio.Queue[bytes] = asyncio.Queue()

    async def _send(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.sent.append(json.loads(entry.body))
            self.incoming.put_nowait(entry.body)  # buses deliver a host's own messages too

    async def _receive(self) -> AsyncIterator[bytes]:
        self._receiving()
        while True:
            yield await self.incoming.get()

    async def _leave(self) -> None:
        """Close nothing."""
