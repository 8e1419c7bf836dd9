"""A request to the other hosts for a session, and which of them have not answered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from socket_host.transport.native.recovery import Key, ResumedSession


@dataclass(slots=True)
class MigrationRequest:
    """What a host has asked the others: where is this client?"""

    key: Key
    offset: str | None
    at: float  # on the event loop's clock
    waits_for: set[str]
    answer: asyncio.Future[ResumedSession | None]
