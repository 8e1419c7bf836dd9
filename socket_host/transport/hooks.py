"""The hooks that a transport calls on a namespace."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping
from typing import Any

from functions.contract.setting import StartError

# A handler that awaits something cancelled fails with CancelledError, and what follows the handler
# must still happen. Tasks that run handlers are cancelled only when the event loop ends.
FAILURES = (Exception, asyncio.CancelledError)

# What a client is told if its connect handler fails.
NOT_ACCEPTED = "The server could not accept the connection. Try again later."


class Hooks(ABC):
    """A namespace that decides which clients may connect, and counts what they cost.

    Namespace objects without these hooks work as in python-socketio.
    """

    namespace: str

    volatile: frozenset[str] = frozenset()  # events that are not replayed to clients that reconnect

    @abstractmethod
    def let_in(
        self, sid: str, environ: Mapping[str, Any], auth: Any = None
    ) -> Coroutine[Any, Any, None] | None:
        """Admit a client, or raise ConnectionRefusedError. Must not block.

        May return a coroutine, which is awaited before the client's CONNECT is answered, and which
        may raise ConnectionRefusedError too.
        """

    def may_join(self, sid: str, room: str) -> bool:
        """Whether a client of this host may enter a room, as another host asks."""
        return True

    @abstractmethod
    def begin_event(self, sid: str, event: Any) -> dict[str, Any] | None:
        """Count a client's event; return an ack to refuse the event with, or None."""

    @abstractmethod
    def count_sent(self, room: Any, reached: int, size: int, kept: float) -> None:
        """Count an event that was sent to a room.

        It reached `reached` clients, costs `size` bytes for each, and takes the share `kept`, from
        0 to 1, of the replay buffer.
        """

    @abstractmethod
    def count_answer(self, size: int) -> None:
        """Count the bytes of an ack that was sent."""

    @abstractmethod
    def expired(self, sid: str) -> bool:
        """Whether a client's session has expired."""

    @abstractmethod
    def identify(self, environ: Mapping[str, Any], auth: Any) -> str:
        """Return the id of the visitor whose session this is; empty if there is none."""

    @abstractmethod
    def owner(self, sid: str) -> str:
        """Return the id of the only visitor who may resume this sid."""


def check_registration(namespaces: Mapping[str, object], name: str | None) -> None:
    """Raise StartError if a handler is registered for a namespace that has hooks.

    The handler would bypass the namespace's limits and its check of who may connect.
    """
    guarded = [one for one in namespaces.values() if isinstance(one, Hooks)]
    for one in guarded:
        if name == "*" or one.namespace == (name or "/"):
            kind = type(one).__name__
            raise StartError(
                f"{kind} handles the events of {one.namespace}: write `on_…` methods, or methods "
                f'with `@event("…")`, in that class. No other handler can be registered, because '
                "clients could use it to bypass the limits."
            )
