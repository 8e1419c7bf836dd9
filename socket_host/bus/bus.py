"""The interface of a bus, and the bus of a host that is alone."""

import logging
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from socket_host.bus.peers import Peers
from socket_host.bus.seen_messages import SeenMessages

_log = logging.getLogger(__name__)

# Called with the id of the host that published an announcement, and the body.
Subscriber = Callable[[str, Any], None]


def log_received(message_id: str, what: Any) -> None:
    """Log a function's message under its id, which `emit` returned to the function."""
    # Not limited to one a minute, because people search the log for an id.
    _log.info("Received %.100r from a function: %s", what, message_id, extra={"let_through": True})


class Receiver(Protocol):
    """Receives other hosts' messages from a bus: a client manager."""

    @property
    def crowded(self) -> bool:
        """Whether emitting now would have to wait."""

    def emit_now(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: Any = None,
        message_id: str | None = None,
    ) -> None:
        """Send an event to this host's clients, without waiting; never called if crowded."""

    def flush(self) -> None:
        """Write out emitted events at once."""

    async def apply(self, message: Mapping[str, Any]) -> None:
        """Carry out another host's message."""


class Bus:
    """The bus of a host that is alone: events reach only its own clients.

    A bus is passed to a client manager. `peers` are the other hosts; `arrivals` counts messages
    from the bus, including our own.
    """

    ANSWER_SECONDS = 0.0  # how long other hosts take to answer a greeting; here there are none

    is_shared = False  # whether there can be other hosts

    def __init__(self) -> None:
        self.host_id = uuid.uuid4().hex
        self.arrivals = 0
        self.peers = Peers(self)
        self._subscribers: defaultdict[str, list[Subscriber]] = defaultdict(list)
        self._gap_subscribers: list[Callable[[], object]] = []

    async def start(self) -> None:
        """Connect to the bus and start receiving."""

    async def stop(self) -> None:
        """Send what is still waiting, and leave the bus."""

    def bring_to(self, receiver: Receiver) -> None:
        """Pass other hosts' messages to a client manager."""

    def publish(self, message: Mapping[str, Any]) -> str | None:
        """Publish a client manager's message to all other hosts; return its id.

        Raises BusMessageError if it is not JSON or is too large for the bus.
        """
        return None

    def announce(self, subject: str, body: Any) -> None:
        """Publish an announcement, which is not an event for clients; `body` is JSON.

        Raises BusMessageError as `publish` does.
        """

    def subscribe(self, subject: str, subscriber: Subscriber) -> None:
        """Pass other hosts' announcements on a subject to `subscriber`."""
        self._subscribers[subject].append(subscriber)

    def announce_to_all(self, subject: str, body: Any) -> None:
        """Announce to all hosts, including this one; raises BusMessageError as `publish` does."""
        self.announce(subject, body)
        self._deliver(subject, self.host_id, body)

    def _deliver(self, subject: str, host: str, body: Any) -> None:
        for subscriber in self._subscribers.get(subject, ()):
            subscriber(host, body)

    def on_gap(self, subscriber: Callable[[], object]) -> None:
        """Call a function after an outage in which messages for this host may have been lost."""
        self._gap_subscribers.append(subscriber)

    def had(self) -> dict[str, list[Any]]:
        """Return the messages that this host has seen, as a snapshot of SeenMessages."""
        return {}

    def ahead(self, had: SeenMessages) -> SeenMessages:
        """Return the part of another host's seen messages that this host has not seen in full."""
        return SeenMessages()

    def refuse(self, cause: str) -> None:
        """Count a refused message; `cause` must not contain any of it."""

    def health(self) -> dict[str, Any]:
        """Return the `status`, ok or degraded; if degraded, `why` is a sentence about it."""
        return {"status": "ok"}
