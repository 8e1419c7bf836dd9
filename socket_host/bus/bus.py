"""What a bus is to the rest of the host, and the bus of a host that is alone."""

import logging
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from socket_host.bus.peers import Peers
from socket_host.bus.seen_messages import SeenMessages

_log = logging.getLogger(__name__)

# Is given the id of the host that made an announcement, and what it said.
Subscriber = Callable[[str, Any], None]


def log_heard(message_id: str, what: Any) -> None:
    """Note what a function has said, by the id that it knows."""
    # Each one, not only the first of a minute: it is looked for by its id.
    _log.info("Heard %.100r of a function: %s", what, message_id, extra={"let_through": True})


class Receiver(Protocol):
    """What a bus brings the messages of other hosts to: a client manager."""

    @property
    def crowded(self) -> bool:
        """Whether nothing can be emitted now without waiting."""

    def emit_now(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: Any = None,
        message_id: str | None = None,
    ) -> None:
        """Send an event to the clients of this host, without waiting; never called if crowded."""

    def flush(self) -> None:
        """Write what was emitted, at once."""

    async def apply(self, message: Mapping[str, Any]) -> None:
        """Do what the manager of another host asks for."""


class Bus:
    """The bus of a host that is alone: what is emitted reaches its own clients.

    A bus is given to a client manager. `peers` are the other hosts; `arrivals` counts what the bus
    brought, our own words included.
    """

    ANSWER_SECONDS = 0.0  # in which every other host has answered a greeting: there are none

    is_shared = False  # whether there can be other hosts

    def __init__(self) -> None:
        self.host_id = uuid.uuid4().hex
        self.arrivals = 0
        self.peers = Peers(self)
        self._subscribers: defaultdict[str, list[Subscriber]] = defaultdict(list)
        self._gap_subscribers: list[Callable[[], object]] = []

    async def start(self) -> None:
        """Begin to listen to the other hosts."""

    async def stop(self) -> None:
        """Say what is still unsaid, and leave the bus."""

    def bring_to(self, receiver: Receiver) -> None:
        """Have a client manager get the messages of other hosts' managers."""

    def publish(self, message: Mapping[str, Any]) -> str | None:
        """Send a message of a client manager to all others; return its id.

        Raises BusMessageError if it is no JSON or too large for the bus.
        """
        return None

    def announce(self, subject: str, body: Any) -> None:
        """Tell all other hosts something that is no event for clients; `body` is JSON.

        Raises BusMessageError as `publish` does.
        """

    def subscribe(self, subject: str, subscriber: Subscriber) -> None:
        """Have what other hosts announce on a subject passed to `subscriber`."""
        self._subscribers[subject].append(subscriber)

    def announce_to_all(self, subject: str, body: Any) -> None:
        """Tell all hosts something, this one included; raises BusMessageError as `publish` does."""
        self.announce(subject, body)
        self._hear(subject, self.host_id, body)

    def _hear(self, subject: str, host: str, body: Any) -> None:
        for subscriber in self._subscribers.get(subject, ()):
            subscriber(host, body)

    def on_gap(self, subscriber: Callable[[], object]) -> None:
        """Have a function called when the bus is back and may have lost what was for this host."""
        self._gap_subscribers.append(subscriber)

    def had(self) -> dict[str, list[Any]]:
        """Return, as a snapshot of SeenMessages, which messages this host has had."""
        return {}

    def ahead(self, had: SeenMessages) -> SeenMessages:
        """Return of what another host has had the part that this one has not had in full."""
        return SeenMessages()

    def refuse(self, cause: str) -> None:
        """Note that something from the bus was refused; `cause` holds nothing of it."""

    def health(self) -> dict[str, Any]:
        """Return how the bus is: `status` is ok, or degraded, and then `why` says what is wrong."""
        return {"status": "ok"}
