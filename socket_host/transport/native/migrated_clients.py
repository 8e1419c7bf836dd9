"""Clients that have just come from another host, and the messages that they received there."""

from __future__ import annotations

from socket_host.bus.seen_messages import SeenMessages
from socket_host.transport.timeout_queue import TimeoutQueue

# How much later one host may receive a message from the bus than another.
SKEW_SECONDS = 5.0


class MigratedClients:
    """Keeps track of messages that clients got on another host and this host has yet to receive.

    They must not be sent to those clients again. They are forgotten after SKEW_SECONDS.
    """

    def __init__(self) -> None:
        self._had: dict[str, SeenMessages] = {}  # by sid
        self._timeouts: TimeoutQueue[str] = TimeoutQueue(SKEW_SECONDS, self._forget)
        self._newest: dict[str, int] = {}  # the highest number in `_had`, by sender

    def add(self, sid: str, ahead: SeenMessages) -> None:
        """Add a client that has received `ahead`, messages this host has not received."""
        if not ahead:
            return
        self._had[sid] = ahead
        self._timeouts.set(sid)
        for sender, highest in ahead.highest():
            self._newest[sender] = max(highest, self._newest.get(sender, 0))

    def had(self, sid: str) -> SeenMessages | None:
        """Return the messages that a client received before it came here."""
        return self._had.get(sid)

    def who_received(self, message_id: str) -> list[str]:
        """Return the sids of the clients that received this message on another host."""
        if not self._had:
            return []
        sender, _, number = message_id.rpartition(":")
        if int(number) > self._newest.get(sender, 0):
            return []
        return [sid for sid, had in self._had.items() if had.has(message_id)]

    def stop(self) -> None:
        """Stop the timeouts."""
        self._timeouts.clear()

    def _forget(self, sid: str) -> None:
        del self._had[sid]
        if not self._had:
            self._newest.clear()
