"""The hooks: what a transport asks a namespace, and tells it."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping
from typing import Any

from functions.contract.setting import StartError

# A handler that awaits what was cancelled ends by that; what is to follow it has to follow all the
# same. Nobody cancels the tasks it is in, but an event loop that ends.
FAILURES = (Exception, asyncio.CancelledError)


class Hooks(ABC):
    """A namespace that decides who comes in, and counts what its clients cost.

    Any other namespace object of python-socketio's is served as that library does it.
    """

    namespace: str

    volatile: frozenset[str] = frozenset()  # events that are not kept for clients that drop

    @abstractmethod
    def let_in(
        self, sid: str, environ: Mapping[str, Any], auth: Any = None
    ) -> Coroutine[Any, Any, None] | None:
        """Let a client in, or raise ConnectionRefusedError; this must not wait.

        Returns what is to be awaited before the client is told, and may refuse it too.
        """

    @abstractmethod
    def begin_event(self, sid: str, event: Any) -> dict[str, Any] | None:
        """Take an event of a client into account, or return the ack of one that is refused."""

    @abstractmethod
    def count_sent(self, room: Any, reached: int, size: int, kept: float) -> None:
        """Count an event that was sent: to how many, its size, its part of the replay buffer."""

    @abstractmethod
    def count_answer(self, size: int) -> None:
        """Count the bytes of an answer."""

    @abstractmethod
    def expired(self, sid: str) -> bool:
        """Whether a client has outlived its session."""

    @abstractmethod
    def identify(self, environ: Mapping[str, Any], auth: Any) -> str:
        """Return the id of the visitor who brings a session; empty if it is none."""

    @abstractmethod
    def owner(self, sid: str) -> str:
        """Return the id of the visitor who alone may have this sid again."""


def check_registration(namespaces: Mapping[str, object], name: str | None) -> None:
    """Raise StartError for a function, or an object, that would get the events of a namespace.

    They would come past its limits, and past its check of who may come in.
    """
    guarded = [one for one in namespaces.values() if isinstance(one, Hooks)]
    for one in guarded:
        if name == "*" or one.namespace == (name or "/"):
            kind = type(one).__name__
            raise StartError(
                f"The events of {one.namespace} are answered by {kind}: write methods `on_…`, or "
                f'methods with `@event("…")`, there. What is registered otherwise is refused, '
                "for clients could call it past all limits."
            )
