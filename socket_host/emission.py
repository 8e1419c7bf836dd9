"""Emissions: what a namespace sends, how often, and which visitor is charged for it."""

import logging
from typing import Any, NamedTuple

from socket_host.bus import Bus
from socket_host.event_error import EventError
from socket_host.latest import Latest
from socket_host.limits import Meter
from socket_host.settings import Settings
from socket_host.transport.bus_manager import check_event
from socket_host.transport.snapshot import snapshot
from socket_host.typed_namespace import Room, Rooms, Sids, TypedNamespace
from socket_host.visitors import BURST, PAYER, Visitors

_log = logging.getLogger(__name__)

_SMALL = 1_024  # bytes of an answer that are not charged in addition to the event


class _Emission(NamedTuple):
    """An event that may have to wait, and the visitor who is charged for it."""

    payer: str | None
    event: str
    data: object
    room: Room | None
    skip_sid: Sids
    ignore_queue: bool


class EmittingNamespace(TypedNamespace):
    """A namespace that charges what it sends to the visitor whose event caused it."""

    def __init__(self, settings: Settings, namespace: str) -> None:
        super().__init__(namespace)
        self.settings = settings
        self.visitors = Visitors(settings)  # a host replaces it with one for all its namespaces
        self._room_bytes = Meter(settings.room_bytes_per_second, BURST)  # by room; None is all
        self._latest: Latest[_Emission] = Latest(self._emit_now, self._wait)

    @property
    def bus(self) -> Bus:
        """The bus to the other hosts."""
        bus: Bus = self.server.manager.bus
        return bus

    def emit_soon(
        self,
        event: str,
        data: object = None,
        *,
        room: Rooms = None,
        skip_sid: Sids = None,
        ignore_queue: bool = False,
    ) -> None:
        """Emit an event without waiting: in order of calls, after the ack of the current event.

        Later changes to `data` are not sent. Raises ValueError if it is not JSON. An event that is
        too large for the bus is logged and not sent.
        """
        check_event(event)
        self._emit_in_task(
            event, snapshot(event, data), _fixed(room), _fixed(skip_sid), ignore_queue
        )

    def emit_latest(
        self,
        event: str,
        data: object,
        *,
        room: Room | None,
        key: object = None,
        skip_sid: Sids = None,
        ignore_queue: bool = False,
    ) -> None:
        """Emit an event of which only the last value matters to a room.

        The first one is sent at once. Later ones are combined into one, several times a second, or
        less often if the room is busy. Each `key` has a last value of its own. Later changes
        to `data` are not sent. Raises ValueError if it is not JSON. An event that is too large for
        the bus is logged and not sent.
        """
        check_event(event)
        data = snapshot(event, data)
        emission = _Emission(PAYER.get(), event, data, room, _fixed(skip_sid), ignore_queue)
        self._latest.put((event, room, key), emission)

    def check_room(self, room: Room | None = None) -> None:
        """Raise EventError if too much is being sent to a room, or to all clients if it is None.

        Call it in handlers that emit to a room, before they store anything. The error asks the
        client to try again.
        """
        if self._room_bytes.wait(room):
            raise EventError(
                "This room is too busy right now. Try again in a moment.",
                reason="room busy",
                retry=True,
            )

    def spend(self, size: float) -> None:
        """Charge bytes to the visitor whose event is being handled.

        Use it for costs other than sending, which is charged automatically: for storing rows, say,
        at a price per byte. Raises EventError if the visitor has used too much already.
        """
        visitor = PAYER.get()
        if visitor is None:
            return
        if error := self.visitors.debt(visitor):
            raise EventError(str(error), reason=error.reason, retry=True)
        self.visitors.fan_out.charge(visitor, size)

    def audience(self, room: Any, here: int) -> int:
        """Return how many clients on all hosts get an event for a room; on this host it is `here`.

        Override it if you know the number. By default, it assumes as many on each other host.
        """
        return here * (1 + len(self.bus.peers))

    # What the transport calls.

    def count_sent(self, room: Any, reached: int, size: int, kept: float) -> None:
        """Count an event that was sent; see Hooks.count_sent."""
        visitor = PAYER.get()
        if visitor is not None:
            reached = self.audience(room, reached)
            self.visitors.fan_out.charge(visitor, reached * size)
            if kept:
                self.visitors.replay.charge(visitor, kept)
        if isinstance(room, (list, tuple, set, frozenset)):
            for name in room:
                self._room_bytes.charge(name, reached * size / len(room))
        else:
            self._room_bytes.charge(room, reached * size)

    def count_answer(self, size: int) -> None:
        """Count the bytes of an answer."""
        visitor = PAYER.get()
        if visitor is not None and size > _SMALL:
            self.visitors.fan_out.charge(visitor, size)

    def _emit_now(self, emission: "_Emission") -> None:
        former = PAYER.set(emission.payer)  # the task inherits it
        try:
            self._emit_in_task(*emission[1:])
        finally:
            PAYER.reset(former)

    def _emit_in_task(
        self, event: str, data: object, room: Rooms, skip_sid: Sids, ignore_queue: bool
    ) -> None:
        self.server.start_background_task(
            self._emit_or_log, event, data, room, skip_sid, ignore_queue
        )

    async def _emit_or_log(
        self, event: str, data: object, room: Rooms, skip_sid: Sids, ignore_queue: bool
    ) -> None:
        try:
            await self.emit(event, data, None, room, skip_sid, ignore_queue=ignore_queue)
        except ValueError as error:
            _log.error("An event was not sent. %s", error)

    def _wait(self, emission: "_Emission") -> float:
        """Return for how many seconds an event of `emit_latest` has to wait.

        Half of what a visitor and a room may use is left for events that cannot wait.
        """
        wait = self._room_bytes.wait_for_half(emission.room)
        if emission.payer is None:
            return wait
        return max(wait, self.visitors.fan_out.wait_for_half(emission.payer))


def _fixed(names: Rooms) -> Rooms:
    """Return a copy of rooms or sids, if they are a list."""
    return names if names is None or isinstance(names, str) else list(names)
