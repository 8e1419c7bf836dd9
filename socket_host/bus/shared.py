"""The base of buses between hosts: an emit reaches the clients of all of them."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any

from functions.contract.bus import ANNOUNCEMENT, FUNCTION, MAX_BYTES, encode
from socket_host.bus.bus import Bus, Receiver, log_received
from socket_host.bus.inbox import Inbox
from socket_host.bus.outage import Outage
from socket_host.bus.outbox import Entry, Outbox
from socket_host.bus.refusals import Refusals
from socket_host.bus.schema import plain_emit
from socket_host.bus.seen_messages import ALL, SeenMessages

_log = logging.getLogger(__name__)

START_SECONDS = 5.0  # to connect before the first client is accepted; then the bus counts as down

FLUSH_SECONDS = 5.0  # for which a stopping host still sends waiting messages


class BusError(Exception):
    """The bus cannot be used now; the message says why.

    If it has taken some of the entries, `unsent` has the rest.
    """

    def __init__(self, why: object, unsent: Sequence[Entry] | None = None) -> None:
        super().__init__(str(why))
        self.unsent = unsent


class SharedBus(Bus):
    """A bus between hosts, which may be down at any time.

    Other hosts get messages as soon as the bus accepts them, in order. After an outage they get
    those that the outbox has kept. Messages that can never be sent raise BusMessageError.

    Subclasses define `_send`, `_receive` and `_leave`, which raise BusError.
    """

    ANSWER_SECONDS = 1.5  # a generous round trip over SNS

    is_shared = True

    BATCH = 1  # messages for one call of `_send`, at most

    LARGEST = MAX_BYTES  # of one message

    def __init__(self) -> None:
        super().__init__()
        self._outgoing = Outage(
            "Messages to other hosts are waiting", "Messages to other hosts are sent again."
        )
        self._incoming = Outage(
            "Messages from other hosts do not arrive", "Messages from other hosts arrive again."
        )
        self._overflow = Outage(
            "The oldest messages to other hosts are dropped", "No more messages are dropped."
        )
        self._outages = [self._outgoing, self._incoming, self._overflow]
        self._outbox = Outbox()
        self._number = 0  # of the last message
        self._own = f'{{"message_id":"{self.host_id}:'.encode()
        self._refusals = Refusals()
        self._seen = SeenMessages(on_leap=self._leapt)
        self._inbox = Inbox(self._seen, self._refusals, self._own, self.LARGEST)
        self._listening = asyncio.Event()
        self._receiver: Receiver | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start sending and receiving; return once subscribed, or after START_SECONDS."""
        self._run(self._send_all, self._outgoing)
        self._run(self._listen_all, self._incoming)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._listening.wait(), START_SECONDS)

    async def stop(self) -> None:
        """Send waiting messages, within a few seconds, and leave the bus."""
        tasks, self._tasks = self._tasks, []
        if not tasks:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._outbox.empty(), FLUSH_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if unsent := len(self._outbox):
            _log.error("The host stops with %d messages to other hosts unsent.", unsent)
        await self._leave()

    def bring_to(self, receiver: Receiver) -> None:
        """Pass other hosts' messages to a client manager."""
        self._receiver = receiver

    def publish(self, message: Mapping[str, Any]) -> str:
        """Append a message to the outbox; return its id."""
        message_id = f"{self.host_id}:{self._number + 1}"
        entry = Entry(message_id, encode(message, message_id, self.LARGEST).encode())
        self._number += 1
        if not self._outbox.add(entry):
            self._overflow.begin("the outbox is full")
        return message_id

    def announce(self, subject: str, body: Any) -> None:
        """Publish an announcement, in order with this host's other messages."""
        self.publish(
            {
                "method": ANNOUNCEMENT,
                "host_id": self.host_id,
                "subject": subject,
                "body": body,
            }
        )

    def had(self) -> dict[str, list[Any]]:
        """Return the messages that this host has seen or sent, as a snapshot of SeenMessages."""
        had = self._seen.snapshot()
        return had | {self.host_id: [self._number, f"{ALL:x}"]}

    def refuse(self, cause: str) -> None:
        """Count a refused message; the bus is degraded for a while."""
        self._refusals.note(cause)

    def ahead(self, had: SeenMessages) -> SeenMessages:
        """Return the part of another host's seen messages that this host has not seen in full."""
        return had.beyond(self._seen, self.host_id)

    def health(self) -> dict[str, Any]:
        """Return the status of the bus, with counts of messages by state, and of live peers."""
        troubles: list[Outage | Refusals] = [*self._outages, self._refusals]
        why = " ".join(trouble.sentence for trouble in troubles if trouble.sentence)
        return {
            "status": "degraded" if why else "ok",
            **({"why": why} if why else {}),
            "waiting": len(self._outbox),
            "dropped": self._outbox.dropped,
            "duplicates": self._inbox.duplicates,
            "invalid": self._refusals.counts.total(),
            "peers": len(self.peers),
        }

    async def _send(self, entries: list[Entry]) -> None:
        """Pass entries to the bus, in order; return when it has them."""
        raise NotImplementedError

    def _receive(self) -> AsyncIterator[bytes]:
        """Yield messages from the bus; call `_receiving` whenever receiving is known to work."""
        raise NotImplementedError

    async def _leave(self) -> None:
        """Close what `_send` and `_receive` have opened."""

    def _run(self, work: Callable[[], Coroutine[Any, Any, None]], outage: Outage) -> None:
        """Keep doing some work until the bus stops; an unexpected failure counts as an outage."""
        self._tasks.append(asyncio.create_task(self._keep_running(work, outage)))

    async def _keep_running(
        self, work: Callable[[], Coroutine[Any, Any, None]], outage: Outage
    ) -> None:
        while True:
            try:
                await work()
            except Exception as error:
                _log.exception("A part of the bus failed. It starts again.")
                outage.begin(repr(error))
            await outage.pause()

    def _receiving(self) -> None:
        was_away = bool(self._incoming.sentence)
        self._incoming.end()
        self._listening.set()
        if was_away:
            self._notify_of_gap()

    def _leapt(self) -> None:
        self.refuse("a gap in the numbers of messages")
        self._notify_of_gap()

    def _notify_of_gap(self) -> None:
        for subscriber in self._gap_subscribers:
            subscriber()

    # Receiving

    async def _listen_all(self) -> None:
        while True:
            try:
                async for body in self._receive():
                    self.arrivals += 1
                    if message := self._inbox.read(body):
                        await self._act(message)
            except BusError as error:
                self._incoming.begin(error)
            await self._incoming.pause()

    def _take(self, bodies: deque[bytes]) -> None:
        """Emit the events at the front of `bodies` to local clients, and write them at once.

        The receiving task would take two more iterations of the loop; it handles other messages.
        """
        receiver = self._receiver
        if receiver is None:
            return
        while bodies and not receiver.crowded and (event := plain_emit(bodies[0])):
            bodies.popleft()
            self.arrivals += 1
            if self._inbox.is_new(event[0]):
                self._emit_now(receiver, *event)
        receiver.flush()

    def _emit_now(
        self,
        receiver: Receiver,
        message_id: str,
        method: str,
        event: str,
        data: list[Any],
        namespace: str,
        room: str | None,
        skip_sid: str | None,
        *_: Any,
    ) -> None:
        values = data[0] if len(data) == 1 else tuple(data)
        if message_id.startswith(FUNCTION):
            log_received(message_id, event)
        try:
            receiver.emit_now(event, values, namespace, room, skip_sid, message_id)
        except Exception:
            self._not_understood(method)

    async def _act(self, message: Mapping[str, Any]) -> None:
        """Carry out another host's message; no message can end the receiving task."""
        method = message.get("method")
        # A callback has the id of the host that waits for it, everything else its sender's.
        if method != "callback" and message.get("host_id") == self.host_id:
            return
        message_id = message.get("message_id")
        if message_id is not None and message_id.startswith(FUNCTION):
            log_received(message_id, message.get("event") or message.get("subject"))
        try:
            if method == ANNOUNCEMENT:
                self._deliver(message["subject"], message["host_id"], message["body"])
            elif self._receiver is not None:
                await self._receiver.apply(message)
        except Exception:
            self._not_understood(message["method"])

    def _not_understood(self, method: str) -> None:
        self.refuse("not understood")
        _log.exception("A message from another host could not be processed: %.40r", method)

    async def _send_all(self) -> None:
        while True:
            batch = await self._outbox.take(self.BATCH)
            try:
                await self._send(batch)
            except BusError as error:
                self._unsent(batch if error.unsent is None else error.unsent, error)
                await self._outgoing.pause()
            except BaseException:
                self._outbox.settle(batch)
                raise
            else:
                self._sent()

    def _sent(self) -> None:
        """Note that the bus has the entries that were taken."""
        self._outbox.settle(())
        self._outgoing.end()
        if not self._outbox:
            self._overflow.end()

    def _unsent(self, entries: Sequence[Entry], error: object) -> None:
        """Put back the entries that the bus has not taken, for the next try."""
        self._outgoing.begin(error)
        self._outbox.settle(entries)
