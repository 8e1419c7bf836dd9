"""Sessions that ended before they expired: the visitor signed out everywhere, or was banned."""

import time
from pathlib import Path
from typing import Protocol

from functions.contract.session import MAX_AGE, Session


class EndingsError(Exception):
    """The endings are temporarily unavailable."""


class Endings(Protocol):
    """The interface of both stores. Every call may raise EndingsError."""

    def put(self, visitor: str, at: float) -> None:
        """Record that all sessions of a visitor that began before a time have ended."""
        ...

    def get(self, visitor: str) -> float:
        """Return the time recorded for a visitor, in seconds since 1970; 0 if there is none."""
        ...

    def all(self) -> dict[str, float]:
        """Return the recorded times by visitor, except those older than any valid session."""
        ...

    def close(self) -> None:
        """Close files and connections."""
        ...


class EndedSessions:
    """Checks sessions for the pages; `sign_out(request, everywhere=True)` ends them."""

    def __init__(self, endings: Endings) -> None:
        self._endings = endings

    def end(self, visitor: str) -> None:
        """End all of a visitor's sessions that have begun so far."""
        self._endings.put(visitor, time.time())

    def is_ended(self, session: Session) -> bool:
        """Whether a session began before its visitor's sessions were ended."""
        return session.signed_in_at < self._endings.get(session.id)


def oldest() -> float:
    """Return the earliest time at which a valid session can have begun."""
    return time.time() - MAX_AGE


def open_endings(setting: str) -> Endings:
    """Open the store that a setting names."""
    kind, _, rest = setting.partition(":")
    if kind == "dynamodb":
        from functions.model.dynamodb_endings import DynamoDBEndings

        return DynamoDBEndings(rest)
    from functions.model.sqlite_endings import SQLiteEndings

    return SQLiteEndings(Path(rest))
