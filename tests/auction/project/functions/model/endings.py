"""Whose sessions have ended before they expire: who signed out everywhere, or was banned."""

import time
from pathlib import Path
from typing import Protocol

from functions.contract.session import MAX_AGE, Session


class EndingsError(Exception):
    """The endings cannot be reached just now."""


class Endings(Protocol):
    """What both kinds can do. Every call may raise EndingsError."""

    def put(self, visitor: str, at: float) -> None:
        """Note that all sessions of a visitor have ended that began before a time."""
        ...

    def get(self, visitor: str) -> float:
        """Return that time, in seconds since 1970; 0 if there is none."""
        ...

    def all(self) -> dict[str, float]:
        """Return all of them by visitor, as far as a session can be as old."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class EndedSessions:
    """What the pages ask, and `sign_out(request, everywhere=True)` tells."""

    def __init__(self, endings: Endings) -> None:
        self._endings = endings

    def end(self, visitor: str) -> None:
        """End all that this visitor has signed in to by now."""
        self._endings.put(visitor, time.time())

    def is_ended(self, session: Session) -> bool:
        """Whether a session is older than the end."""
        return session.signed_in_at < self._endings.get(session.id)


def oldest() -> float:
    """Return since when a session may have begun that is valid."""
    return time.time() - MAX_AGE


def open_endings(setting: str) -> Endings:
    """Open the endings that a setting names."""
    kind, _, rest = setting.partition(":")
    if kind == "dynamodb":
        from functions.model.dynamodb_endings import DynamoDBEndings

        return DynamoDBEndings(rest)
    from functions.model.sqlite_endings import SQLiteEndings

    return SQLiteEndings(Path(rest))
