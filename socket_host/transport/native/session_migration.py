"""Session migration: a client that reconnects to another host gets its state from the one it left.

The new host asks all others. The one that has the session, or the shutdown snapshot of the host
that had it, answers with the session's state and the events that the client missed there. A host
that has just started does not know all others yet, and waits for them before it gives up. A host
that stops sends its shutdown snapshot to all others.

Hosts receive messages from the bus in different orders. So an answer includes `had`, the messages
that the old host has received: the new host sends the client all others, and none of these again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from functions.contract.bus import MAX_BYTES, BusMessageError
from socket_host.bus import Bus
from socket_host.bus.seen_messages import SeenMessages
from socket_host.transport.bucket import Bucket
from socket_host.transport.native.migrated_clients import SKEW_SECONDS, MigratedClients
from socket_host.transport.native.migration_requests import (
    MAX_OPEN,
    MigrationRequest,
    MigrationRequests,
)
from socket_host.transport.native.recovery import (
    LONGEST_OFFSET,
    DisconnectedSession,
    Key,
    Recovery,
    ReplayPoint,
    ResumedSession,
)
from socket_host.transport.native.replay_buffer import Entry, Sent
from socket_host.transport.native.shutdown_snapshot import ShutdownSnapshot, pieces
from socket_host.transport.timeout_queue import TimeoutQueue

_log = logging.getLogger(__name__)

# Bytes of missed events that other hosts may send here: per second, and at once.
_BYTES_PER_SECOND = 1024 * 1024
_MAX_BYTES = 32 * 1024 * 1024

# Sessions that no host had, which are not asked about again for a while.
_UNKNOWN_SECONDS = 60.0
_MAX_UNKNOWN = 10_000

MAX_SNAPSHOT_BYTES = 32 * 1024 * 1024  # of all snapshots; beyond it, the oldest is dropped

_SNAPSHOT_SECONDS = 0.4  # to wait for the rest of a snapshot


class SessionMigration:
    """Moves the sessions of clients between hosts; a snapshot is kept for `seconds`."""

    def __init__(self, bus: Bus, recovery: Recovery, seconds: float) -> None:
        self._bus = bus
        self._recovery = recovery
        self._requests = MigrationRequests(bus)
        self._inflow = Bucket(_BYTES_PER_SECOND, _MAX_BYTES)
        self._unknown: TimeoutQueue[Key] = TimeoutQueue(_UNKNOWN_SECONDS, lambda key: None)
        self._snapshots: dict[str, ShutdownSnapshot] = {}
        self._expiry: TimeoutQueue[str] = TimeoutQueue(seconds, self._forget)
        self._migrated = MigratedClients()
        self._tasks: set[asyncio.Task[None]] = set()
        self._encoding = asyncio.Lock()
        recovery.migration = self
        bus.subscribe("recovery.ask", self._on_ask)
        bus.subscribe("recovery.answer", self._on_answer)
        bus.subscribe("recovery.estate", self._on_snapshot)
        bus.subscribe("recovery.claim", self._on_claim)

    def stop(self) -> None:
        """Send a snapshot of all disconnected sessions to the other hosts."""
        for timeouts in (self._expiry, self._unknown):
            timeouts.clear()
        self._migrated.stop()
        self._requests.stop()
        disconnected = self._recovery.take_all()
        if disconnected and self._bus.peers:
            try:
                for piece in pieces(self._recovery.replay_buffer, disconnected, self._bus.had()):
                    self._bus.announce("recovery.estate", piece)
            except (BusMessageError, TypeError, ValueError) as error:  # not JSON, or too large
                _log.warning("Other hosts cannot resume some sessions of this host: %s", error)

    # Sessions that come here

    async def find(
        self, namespace: str, sid: str, offset: str | None, *, ask: bool = True
    ) -> ResumedSession | None:
        """Resume a session from another host or its shutdown snapshot; None if there is none.

        `ask` is whether to ask the other hosts.
        """
        key = namespace, sid
        if (resumed := self._from_snapshot(key, offset)) is not None:
            return resumed
        if not ask or not self._may_ask(key):
            return None
        self._unknown.set(key)
        resumed = await self._requests.ask(key, offset)
        if resumed is not None:
            self._unknown.drop(key)
        return resumed

    def received_elsewhere(self, message_id: str) -> list[str]:
        """Return the sids of the clients that received this message on another host."""
        return self._migrated.who_received(message_id)

    def _may_ask(self, key: Key) -> bool:
        """Return whether there are hosts to ask, and the limits allow it."""
        return (
            bool(self._bus.peers or self._bus.peers.strangers_for())
            and key not in self._unknown
            and len(self._unknown) < _MAX_UNKNOWN
            and self._requests.may_ask()
        )

    def _on_answer(self, host: str, body: Any) -> None:
        match body:
            case [str(request_id), state]:
                request = self._requests.answered(host, request_id)
            case _:
                return
        if request is None:
            return
        resumed = None if state is None else self._from_answer(request, state)
        if resumed is None:
            request.rule_out(host)
        else:
            request.answer.set_result(resumed)

    def _from_answer(self, request: MigrationRequest, state: Any) -> ResumedSession | None:
        """Resume a session from another host's answer; None if that cannot be used."""
        replay_buffer = self._recovery.replay_buffer
        try:
            rooms, data, missed, had, *attempts = state
            disconnected = DisconnectedSession(
                *request.key, dict.fromkeys(rooms, 0), data, ReplayPoint(0)
            )
            replay_point = ReplayPoint(
                replay_buffer.position, request.offset, list(map(_sent, missed)), *attempts
            )
            seen = SeenMessages.of(had)
        except (TypeError, ValueError, AttributeError):  # of another version
            return None
        late = replay_buffer.since(self._position_had_by_all())
        if late is None or not self._inflow.take(sum(sent.size for sent in replay_point.replayed)):
            return None
        unseen = [e for e in late if e.message_id is not None and not seen.has(e.message_id)]
        resumed = self._complete(disconnected, replay_point, unseen)
        if resumed is not None:
            self._migrated.add(disconnected.sid, self._bus.ahead(seen))
        return resumed

    def _from_snapshot(self, key: Key, offset: str | None) -> ResumedSession | None:
        """Resume a session from a snapshot on this host; None if there is none."""
        found = self._take_from_snapshot(key, offset)
        if found is None:
            return None
        resumed, snapshot = found
        if snapshot.settled is None and snapshot.had is not None:
            if snapshot.ahead is None:
                snapshot.ahead = self._bus.ahead(snapshot.had)
            self._migrated.add(key[1], snapshot.ahead)
        return resumed

    def _take_from_snapshot(
        self, key: Key, offset: str | None
    ) -> tuple[ResumedSession, ShutdownSnapshot] | None:
        """Remove a session from a snapshot; return it resumed, with the snapshot."""
        for snapshot in self._snapshots.values():
            if (found := snapshot.take(key, offset)) is None:
                continue
            self._bus.announce("recovery.claim", list(key))
            disconnected, replay_point, missed = found
            if (found_late := self._late_entries(snapshot)) is None:
                return None
            late, until = found_late
            here = ReplayPoint(until, offset, missed, replay_point.attempts)
            resumed = self._complete(disconnected, here, late)
            return None if resumed is None else (resumed, snapshot)
        return None

    def _late_entries(self, snapshot: ShutdownSnapshot) -> tuple[list[Entry], int] | None:
        """Return the entries that a stopped host had not received, up to a position.

        All entries after that position are later than the snapshot. Returns None if some are no
        longer in the replay buffer.
        """
        replay_buffer = self._recovery.replay_buffer
        if snapshot.settled is not None:
            found = [replay_buffer.entry(position) for position in snapshot.late]
            late = [entry for entry in found if entry is not None]
            return (late, snapshot.settled) if len(late) == len(found) else None
        entries = replay_buffer.since(snapshot.position)
        if entries is None or snapshot.had is None:
            return None
        end = snapshot.completed_at + SKEW_SECONDS
        is_settled = end < asyncio.get_running_loop().time()
        until = replay_buffer.position_at(end) if is_settled else replay_buffer.position
        late = [
            entry
            for entry in entries
            if entry.position <= until
            and entry.message_id is not None
            and not snapshot.had.has(entry.message_id)
        ]
        if is_settled:
            snapshot.settled, snapshot.late = until, [entry.position for entry in late]
        return late, until

    def _complete(
        self, disconnected: DisconnectedSession, replay_point: ReplayPoint, late: list[Entry]
    ) -> ResumedSession | None:
        """Add the events that this host has received and the other has not."""
        # The client entered its rooms before these events; the other host's positions mean nothing
        # here.
        disconnected.rooms = dict.fromkeys(disconnected.rooms, 0)
        try:
            new = disconnected.concerned(self._recovery.replay_buffer, late)
        except LookupError:
            return None
        replay_point.replayed = [*replay_point.replayed, *new]
        disconnected.replay_point = replay_point
        return ResumedSession(disconnected, replay_point)

    def _position_had_by_all(self) -> int:
        """Return the position up to which all hosts have received this host's replay buffer."""
        now = asyncio.get_running_loop().time()
        return self._recovery.replay_buffer.position_at(now - SKEW_SECONDS)

    # Sessions that other hosts ask for

    def _on_ask(self, host: str, body: Any) -> None:
        match body:
            case [str(request_id), str(namespace), str(sid), None | str() as offset]:
                pass
            case _:
                return
        key = namespace, sid
        if not self._may_know(key) or len(offset or "") > LONGEST_OFFSET:
            self._bus.announce("recovery.answer", [request_id, None])
        elif len(self._tasks) < MAX_OPEN:  # beyond that, sessions are lost
            task = asyncio.create_task(self._answer(request_id, key, offset))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _may_know(self, key: Key) -> bool:
        """Return whether a session is here or in a snapshot, or may be in an incomplete one."""
        snapshots = self._snapshots.values()
        return self._recovery.knows(*key) or any(key in one or one.had is None for one in snapshots)

    async def _answer(self, request_id: str, key: Key, offset: str | None) -> None:
        state = None
        try:
            if self._recovery.knows(*key):
                resumed = await self._recovery.resume(*key, offset)
                had = self._migrated.had(key[1])
            else:
                await self._wait_for_snapshots()
                found = self._take_from_snapshot(key, offset)
                resumed, had = (found[0], found[1].had) if found else (None, None)
            async with self._encoding:  # one in each iteration of the loop, since it takes a while
                state = resumed and self._state(resumed, had)
                await asyncio.sleep(0)
        finally:
            try:
                self._bus.announce("recovery.answer", [request_id, state])
            except BusMessageError:  # there are too many missed events
                self._bus.announce("recovery.answer", [request_id, None])

    async def _wait_for_snapshots(self) -> None:
        """Wait a little for incomplete snapshots."""
        incomplete = [
            snapshot.complete.wait()
            for snapshot in self._snapshots.values()
            if snapshot.had is None
        ]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*incomplete), _SNAPSHOT_SECONDS)

    def _state(self, resumed: ResumedSession, had: SeenMessages | None) -> list[Any] | None:
        """Return what another host needs to resume a session; None if that is not possible.

        `had` is what the client received before it came here.
        """
        disconnected = resumed.disconnected
        missed = disconnected.missed(self._recovery.replay_buffer, resumed.replay_point)
        if missed is None or not disconnected.portable:
            return None
        if sum(sent.size for sent in missed) > MAX_BYTES:
            return None
        known = self._bus.had()
        if had is not None:
            seen = SeenMessages.of(known)
            seen.add(had)
            known = seen.snapshot(len(known) + len(had))
        events = [sent.to_json() for sent in missed]
        return [
            list(disconnected.rooms),
            disconnected.data,
            events,
            known,
            resumed.replay_point.attempts,
        ]

    def _on_claim(self, host: str, body: Any) -> None:
        match body:
            case [str(namespace), str(sid)]:
                for snapshot in self._snapshots.values():
                    snapshot.forget((namespace, sid))

    # Hosts that stop

    def _on_snapshot(self, host: str, piece: Any) -> None:
        snapshot = self._snapshots.get(host) or ShutdownSnapshot(self._position_had_by_all())
        snapshot.add(piece)
        if host not in self._snapshots:
            self._snapshots[host] = snapshot
            self._expiry.set(host)
        while sum(one.size for one in self._snapshots.values()) > MAX_SNAPSHOT_BYTES:
            self._forget(next(iter(self._snapshots)))
        if snapshot.had is not None:
            self._answer_open_requests()

    def _answer_open_requests(self) -> None:
        """Answer this host's own requests from the snapshots."""
        for request in self._requests:
            if not request.answer.done():
                resumed = self._from_snapshot(request.key, request.offset)
                if resumed is not None:
                    request.answer.set_result(resumed)

    def _forget(self, host: str) -> None:
        self._expiry.drop(host)
        self._snapshots.pop(host, None)


def _sent(encoded: list[str]) -> Sent:
    """Return an event that another host has encoded; raises TypeError or ValueError."""
    if not all(isinstance(part, str) for part in encoded):
        raise TypeError
    return Sent.of(*encoded)
