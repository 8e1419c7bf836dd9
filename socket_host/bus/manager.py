"""The client managers' common part: an emit reaches the clients of this host and of all others.

A manager is a mixin. Put it before the one that keeps the rooms and writes to the clients:
`class Manager(RedisBus, FanOut)`.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any

import socketio  # type: ignore[import-untyped]  # python-socketio ships no types
from socketio.async_pubsub_manager import (  # type: ignore[import-untyped]  # as above
    AsyncPubSubManager,
)

from functions.contract.bus import MAX_BYTES, encode
from socket_host.bus.memory import ALL, Memory, UnlikelyNumberError
from socket_host.bus.outage import Outage
from socket_host.bus.outbox import Entry, Outbox
from socket_host.bus.peers import Peers
from socket_host.bus.refusals import Refusals
from socket_host.bus.schema import ANNOUNCEMENT, fault, parse, plain_emit

_log = logging.getLogger(__name__)

START_SECONDS = 5.0  # to hear the others before the first client comes; then the bus is away

FLUSH_SECONDS = 5.0  # in which a host that stops still says what it has to say


class BusError(Exception):
    """The bus cannot be used now; the text says why.

    If it took some of what it was given, `unsent` has the rest.
    """

    def __init__(self, why: object, unsent: Sequence[Entry] | None = None) -> None:
        super().__init__(str(why))
        self.unsent = unsent


# What hears an announcement: it is given the id of the host that made it, and what it said.
Hearer = Callable[[str, Any], None]


class Bus(socketio.AsyncManager):  # type: ignore[misc]  # python-socketio ships no types
    """The bus of a host that is alone: what is emitted reaches its own clients.

    `peers` are the other hosts; `arrivals` counts what the bus brought, our own words included.
    """

    ANSWER_SECONDS = 0.0  # in which every other host has answered a greeting: there are none

    arrivals = 0
    message_id: str | None = None  # of what is emitted next, for the manager that keeps the rooms

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.peers = Peers(self)
        self._gap_hearers: list[Callable[[], object]] = []

    async def start(self) -> None:
        """Begin to listen to the other hosts."""

    async def stop(self) -> None:
        """Say what is still unsaid, and leave the bus."""

    def announce(self, subject: str, body: Any) -> None:
        """Tell all other hosts something that is no event for clients; `body` is JSON.

        Raises BusMessageError if it is no JSON or too large for the bus.
        """

    def hear(self, subject: str, hearer: Hearer) -> None:
        """Have what other hosts announce on a subject passed to `hearer`."""

    def hear_of_gaps(self, hearer: Callable[[], object]) -> None:
        """Have a function called when the bus is back and may have lost what was for this host."""
        self._gap_hearers.append(hearer)

    def had(self) -> dict[str, list[Any]]:
        """Return, as the snapshot of a Memory, which messages this host has had."""
        return {}

    def refuse(self, cause: str) -> None:
        """Note that something from the bus was refused; `cause` holds nothing of it."""

    def ahead(self, had: Memory) -> Memory:
        """Return of what another host has had the part that this one has not had in full."""
        return Memory()

    def health(self) -> dict[str, Any]:
        """Return how the bus is: `status` is ok, or degraded, and then `why` says what is wrong."""
        return {"status": "ok"}


class SharedBus(AsyncPubSubManager, Bus):  # type: ignore[misc]  # as above
    """A bus between hosts, which may be away at any time.

    Local clients get at once what is emitted, and other hosts as soon as the bus takes it: in the
    order of the calls, also after an outage, as far as the outbox holds it. What can never go over
    the bus is refused with BusMessageError before anybody gets it.

    A kind of bus defines `_send`, `_receive` and `_leave`, which raise BusError.
    """

    ANSWER_SECONDS = 1.5  # generous: by SNS there and back takes some 0.2

    BATCH = 1  # messages that `_send` is given at the most

    def __init__(self) -> None:
        super().__init__()
        self._outgoing = Outage(
            "Messages to other hosts wait", "The bus takes messages to other hosts again."
        )
        self._incoming = Outage(
            "Messages from other hosts do not arrive", "Messages from other hosts arrive again."
        )
        self._overflow = Outage(
            "The oldest messages to other hosts are dropped", "No more messages are dropped."
        )
        self._outages = [self._outgoing, self._incoming, self._overflow]
        self._duplicates = 0
        self._refusals = Refusals()
        self._outbox = Outbox()
        self._memory = Memory(on_leap=self._leapt)
        self._number = 0  # of the last message
        self._own = f'{{"message_id":"{self.host_id}:'.encode()
        self._listening = asyncio.Event()
        self._hearers: defaultdict[str, list[Hearer]] = defaultdict(list)
        self._tasks: list[asyncio.Task[None]] = []
        self._methods: dict[Any, Callable[[Any], Coroutine[Any, Any, None]]] = {
            ANNOUNCEMENT: self._hear,
            "emit": self._handle_emit,
            "callback": self._handle_callback,
            "disconnect": self._handle_disconnect,
            "enter_room": self._handle_enter_room,
            "leave_room": self._handle_leave_room,
            "close_room": self._handle_close_room,
        }

    def initialize(self) -> None:
        """Do nothing: `start` begins to listen, before the first client comes."""

    async def start(self) -> None:
        """Begin to send and to listen; return when the host listens, or will not soon."""
        self._run(self._send_all())
        self._run(self._listen_all())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._listening.wait(), START_SECONDS)

    async def stop(self) -> None:
        """Send what waits, within a few seconds, and leave the bus."""
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

    def announce(self, subject: str, body: Any) -> None:
        """Tell all other hosts something, after what this host has said before."""
        self._post(
            {
                "method": ANNOUNCEMENT,
                "host_id": self.host_id,
                "subject": subject,
                "body": body,
            }
        )

    def hear(self, subject: str, hearer: Hearer) -> None:
        """Have what other hosts announce on a subject passed to `hearer`."""
        self._hearers[subject].append(hearer)

    def had(self) -> dict[str, list[Any]]:
        """Return, as the snapshot of a Memory, which messages this host has had, or has sent."""
        had = self._memory.snapshot()
        return had | {self.host_id: [self._number, f"{ALL:x}"]}

    def refuse(self, cause: str) -> None:
        """Note that something from the bus was refused; the bus is degraded for a while."""
        self._refusals.note(cause)

    def ahead(self, had: Memory) -> Memory:
        """Return of what another host has had the part that this one has not had in full."""
        return had.beyond(self._memory, self.host_id)

    def health(self) -> dict[str, Any]:
        """Return how the bus is, with counts.

        They are of what waits, was dropped, came twice and was invalid, and of live peers.
        """
        troubles: list[Outage | Refusals] = [*self._outages, self._refusals]
        why = " ".join(trouble.sentence for trouble in troubles if trouble.sentence)
        return {
            "status": "degraded" if why else "ok",
            **({"why": why} if why else {}),
            "waiting": len(self._outbox),
            "dropped": self._outbox.dropped,
            "duplicates": self._duplicates,
            "invalid": self._refusals.counts.total(),
            "peers": len(self.peers),
        }

    async def _send(self, entries: list[Entry]) -> None:
        """Give entries to the bus, in their order; return when it has them."""
        raise NotImplementedError

    def _receive(self) -> AsyncIterator[bytes]:
        """Yield what the bus brings; call `_hears` whenever it could have brought something."""
        raise NotImplementedError

    async def _leave(self) -> None:
        """Close what the others opened."""

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            _log.error("The host needs to be started again to use its bus.", exc_info=error)
            self._outgoing.begin(repr(error))

    def _hears(self) -> None:
        was_away = bool(self._incoming.sentence)
        self._incoming.end()
        self._listening.set()
        if was_away:
            self._tell_of_gap()

    def _leapt(self) -> None:
        self.refuse("numbers that left some out")
        self._tell_of_gap()

    def _tell_of_gap(self) -> None:
        for hearer in self._gap_hearers:
            hearer()

    # What python-socketio calls

    async def _handle_emit(self, message: Mapping[str, Any]) -> None:
        # Posted before the local delivery, which may pause: else of two emits, each in a task of
        # its own, the second might overtake the first on its way to the others.
        own = message.get("host_id") == self.host_id
        self.message_id = self._post(message) if own else message.get("message_id")
        await super()._handle_emit(message)

    async def _publish(self, data: Mapping[str, Any]) -> None:
        if data["method"] != "emit":
            self._post(data)

    # What other hosts say: instead of python-socketio's `_thread`, which takes longer for it.

    async def _listen_all(self) -> None:
        while True:
            try:
                async for body in self._receive():
                    self.arrivals += 1
                    if message := self._read(body):
                        await self._act(message)
            except BusError as error:
                self._incoming.begin(error)
            await self._incoming.pause()

    @property
    def _taker(self) -> Callable[[deque[bytes]], None] | None:
        """What takes messages as they arrive, if the manager that keeps the rooms can do that."""
        return self._take if hasattr(self, "emit_now") else None

    def _take(self, bodies: deque[bytes]) -> None:
        """Send local clients the events among messages, from the first on, and write them at once.

        The task that listens would do so two turns of the loop later; it does all that takes time.
        """
        while bodies and not self.crowded and (event := plain_emit(bodies[0])):
            bodies.popleft()
            self.arrivals += 1
            if self._is_news(event[0]):
                self._emit_now(*event)
        self.flush()

    def _emit_now(
        self,
        message_id: str,
        method: str,
        event: str,
        data: list[Any],
        namespace: str,
        room: str | None,
        skip_sid: str | None,
        *_: Any,
    ) -> None:
        try:
            self.message_id = message_id
            self.emit_now(
                event, data[0] if len(data) == 1 else tuple(data), namespace, room, skip_sid
            )
        except Exception:
            self._not_understood(method)

    async def _act(self, message: Mapping[str, Any]) -> None:
        """Do what another host asks for; nothing it says ends the listening."""
        try:
            method = message.get("method")
            handler = self._methods.get(method)  # none for the words of a later version
            # An answer bears the id of the host that waits for it, all else its sender's.
            if handler and (method == "callback" or message.get("host_id") != self.host_id):
                await handler(message)
        except Exception:
            self._not_understood(message["method"])

    def _not_understood(self, method: str) -> None:
        self.refuse("not understood")
        _log.exception("A message of another host was not understood: %.40r", method)

    async def _hear(self, message: Mapping[str, Any]) -> None:
        for hearer in self._hearers.get(message["subject"], ()):
            hearer(message["host_id"], message["body"])

    def _post(self, message: Mapping[str, Any]) -> str:
        """Put a message into the outbox and return its id."""
        message_id = f"{self.host_id}:{self._number + 1}"
        entry = Entry(message_id, encode(message, message_id).encode())
        self._number += 1
        if not self._outbox.add(entry):
            self._overflow.begin("more wait than the outbox holds")
        return message_id

    def _read(self, body: bytes) -> dict[str, Any] | None:
        """Return the message if it is right and for us: another host's, and not had before."""
        if body.startswith(self._own):
            return None
        if len(body) > MAX_BYTES:
            self.refuse("larger than a message may be")
            return None
        try:
            message = parse(str(body, "utf-8"))
        except ValueError:
            self.refuse("not JSON")
            return None
        if why := fault(message):
            self.refuse(why)
            return None
        return message if self._is_news(message.get("message_id")) else None

    def _is_news(self, message_id: str | None) -> bool:
        """Tell, once, if a message has not been had before."""
        try:
            if self._memory.is_new(message_id):
                return True
        except UnlikelyNumberError as error:
            self.refuse(str(error))
            return False
        except ValueError:
            self.refuse("message_id")
            return False
        self._duplicates += 1
        return False

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
        """Note that the bus has what was taken for it."""
        self._outbox.settle(())
        self._outgoing.end()
        if not self._outbox:
            self._overflow.end()

    def _unsent(self, entries: Sequence[Entry], error: object) -> None:
        """Keep what the bus has not taken, for the next try."""
        self._outgoing.begin(error)
        self._outbox.settle(entries)
