"""Who has just come from another host, and what they had had there."""

from __future__ import annotations

from socket_host.bus.seen_messages import SeenMessages
from socket_host.transport.timeout_queue import TimeoutQueue

# How much later one host may hear a message of the bus than another.
SKEW_SECONDS = 5.0


class MigratedClients:
    """Remembers for a while what clients have had elsewhere and the bus has yet to bring here."""

    def __init__(self) -> None:
        self._had: dict[str, SeenMessages] = {}  # by sid
        self._settling: TimeoutQueue[str] = TimeoutQueue(SKEW_SECONDS, self._forget)
        self._newest: dict[str, int] = {}  # what any of them has had of each sender

    def add(self, sid: str, ahead: SeenMessages) -> None:
        """Remember a client, unless it has had nothing that is not here."""
        if not ahead:
            return
        self._had[sid] = ahead
        self._settling.set(sid)
        for sender, highest in ahead.highest():
            self._newest[sender] = max(highest, self._newest.get(sender, 0))

    def had(self, sid: str) -> SeenMessages | None:
        """Return what a client had had before it was here."""
        return self._had.get(sid)

    def who_had(self, message_id: str) -> list[str]:
        """Return the sids of those who have had this message on the host they came from."""
        if not self._had:
            return []
        sender, _, number = message_id.rpartition(":")
        if int(number) > self._newest.get(sender, 0):
            return []
        return [sid for sid, had in self._had.items() if had.has(message_id)]

    def stop(self) -> None:
        """Wait for nothing any more."""
        self._settling.clear()

    def _forget(self, sid: str) -> None:
        del self._had[sid]
        if not self._had:
            self._newest.clear()
