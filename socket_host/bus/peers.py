"""The peers: which other hosts on the bus are alive.

Each host sends heartbeats. A new host sends a greeting, which the others answer at once, and a host
that stops sends a goodbye. A host that has been silent for too long is considered lost.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Protocol

_log = logging.getLogger(__name__)

_SUBJECT = "peers"

# Seconds between two heartbeats. With SNS and SQS their cost grows with the square of the number of
# hosts (docs/costs.md); doubling the interval halves it.
HEARTBEAT = 2.0

# A host is lost after this many missed heartbeats: it has then been silent for 4 to 6 seconds, and
# was killed 2 to 6 seconds ago.
LOST = 3

MAX_PEERS = 1_000  # hosts; further ones are ignored

_ANSWER_PAUSE = 0.2  # seconds between two answers to greetings, however many hosts greet

_NAMED = 5  # hosts listed in one line of the log

Watcher = Callable[..., object]


class Announcer(Protocol):
    """The part of the bus that peers use."""

    ANSWER_SECONDS: float
    arrivals: int

    def announce(self, subject: str, body: Any) -> None:
        """Publish an announcement to all other hosts."""

    def subscribe(self, subject: str, subscriber: Callable[[str, Any], None]) -> None:
        """Pass other hosts' announcements on a subject to `subscriber`."""

    def refuse(self, cause: str) -> None:
        """Count a refused message."""


class Peers(Collection[str]):
    """The ids of the other hosts that are alive; empty for a host that is alone on its bus.

    While the bus delivers nothing at all, not even this host's own heartbeats, no other host is
    considered lost, and each has its full time again after the outage.
    """

    def __init__(self, bus: Announcer) -> None:
        self.state: dict[str, Any] = {}  # sent with each heartbeat; keep it small
        self._bus = bus
        self._missed: dict[str, int] = {}  # heartbeats, by host
        self._arrivals = 0  # the bus's count at the last heartbeat
        self._subscribers: dict[str, list[Watcher]] = {"joined": [], "lost": [], "heartbeat": []}
        self._beating: asyncio.Task[None] | None = None
        self._answering: asyncio.TimerHandle | None = None  # during the pause after an answer
        self._greeted = False  # whether a host has greeted during that pause
        self._all_known_at = 0.0  # by the loop's clock

    def __contains__(self, host: object) -> bool:
        """Return whether another host is alive."""
        return host in self._missed

    def __iter__(self) -> Iterator[str]:
        """Iterate over the ids of the hosts that are alive."""
        return iter(self._missed)

    def __len__(self) -> int:
        """Return how many other hosts are alive."""
        return len(self._missed)

    def strangers_for(self) -> float:
        """Return for how many more seconds unknown hosts may still answer our greeting."""
        return max(0.0, self._all_known_at - asyncio.get_running_loop().time())

    def subscribe(
        self,
        *,
        joined: Callable[[str], object] | None = None,
        lost: Callable[[str], object] | None = None,
        heartbeat: Callable[[str, Mapping[str, Any]], object] | None = None,
    ) -> None:
        """Call functions with the id of a host that is new, lost, or has stopped.

        `heartbeat` is called at each heartbeat, also with the host's `state`.
        """
        for event, subscriber in (("joined", joined), ("lost", lost), ("heartbeat", heartbeat)):
            if subscriber:
                self._subscribers[event].append(subscriber)

    def start(self) -> None:
        """Send a greeting, and start sending and watching heartbeats."""
        self._all_known_at = asyncio.get_running_loop().time() + self._bus.ANSWER_SECONDS
        self._bus.subscribe(_SUBJECT, self._receive)
        self._announce("hello")
        self._beating = asyncio.create_task(self._beat())

    def stop(self) -> None:
        """Send a goodbye, so that the others forget this host at once."""
        if self._answering:
            self._answering.cancel()
        if self._beating:
            self._beating.cancel()
            self._beating = None
            self._announce("goodbye")

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            self._count()
            self._announce("alive")

    def _count(self) -> None:
        deaf = self._arrivals == self._bus.arrivals
        self._arrivals = self._bus.arrivals
        for host, missed in self._missed.items():
            self._missed[host] = 0 if deaf else missed + 1
        lost = [host for host, missed in self._missed.items() if missed >= LOST]
        if lost:
            names = ", ".join(lost[:_NAMED]) + (", …" if len(lost) > _NAMED else "")
            _log.warning("Lost %d hosts, which missed %d heartbeats: %s", len(lost), LOST, names)
        for host in lost:
            self._lose(host)

    def _announce(self, word: str) -> None:
        self._bus.announce(_SUBJECT, {"word": word, "state": self.state})

    def _receive(self, host: str, body: Any) -> None:
        match body:
            case {"word": "goodbye"}:
                self._lose(host)
            case {"word": word, "state": {**state}}:
                new = host not in self._missed
                if new and len(self._missed) >= MAX_PEERS:
                    self._bus.refuse("too many hosts")
                    return
                self._missed[host] = 0
                if new:
                    self._notify("joined", host)
                if word == "hello" and self._beating:
                    self._answer()
                self._notify("heartbeat", host, state)

    def _answer(self) -> None:
        """Answer a greeting, at once or together with others that arrive during the pause."""
        if self._answering:
            self._greeted = True
            return
        self._announce("alive")
        loop = asyncio.get_running_loop()
        self._answering = loop.call_later(_ANSWER_PAUSE, self._answer_again)

    def _answer_again(self) -> None:
        self._answering = None
        if self._greeted:
            self._greeted = False
            self._answer()

    def _lose(self, host: str) -> None:
        if self._missed.pop(host, None) is not None:
            self._notify("lost", host)

    def _notify(self, event: str, *values: Any) -> None:
        for subscriber in self._subscribers[event]:
            try:
                subscriber(*values)
            except Exception:  # heartbeats must go on, or the others would lose this host
                _log.exception("A subscriber to changes of the peers failed.")
