"""The sessions that were ended lately, by a sign-out or a ban: they cannot be resumed."""

from __future__ import annotations

import time

from socket_host.transport.timeout_queue import TimeoutQueue

MAX_OWNERS = 20_000  # beyond it, nobody can resume a session that is older than the oldest end


class EndedSessions:
    """Whose sessions were ended within the last `seconds`, and when."""

    def __init__(self, seconds: float) -> None:
        self._ends: dict[str, float] = {}  # by owner, in seconds since 1970
        self._end_of_all = 0.0
        self._timeouts: TimeoutQueue[str] = TimeoutQueue(seconds, self._forget)

    def end(self, owner: str) -> None:
        """End all sessions that an owner has by now."""
        self._ends.pop(owner, None)  # so that it becomes the newest
        self._ends[owner] = time.time()
        self._timeouts.set(owner)
        if len(self._ends) > MAX_OWNERS:
            oldest = next(iter(self._ends))
            self._timeouts.drop(oldest)
            self._end_of_all = self._ends.pop(oldest)

    def has(self, owner: str, issued: int) -> bool:
        """Return whether a session has ended, given when its private id was issued."""
        return issued <= max(self._end_of_all, self._ends.get(owner, 0.0))

    def stop(self) -> None:
        """Stop the timeouts."""
        self._timeouts.clear()

    def _forget(self, owner: str) -> None:
        del self._ends[owner]
