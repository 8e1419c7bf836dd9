"""Session migration: a client that reconnects to another host gets its state from the one it left.

The new host asks all others. The one that has the session, or the shutdown snapshot of the host
that had it, answers with its state and with what the client missed there. A host that has just
started waits until all others have had time to greet it before it believes that nobody has the
session. A host that stops sends its shutdown snapshot to all others.

Hosts receive the messages of the bus in different orders. So the state comes with `had`, what the
old host has received: the new host sends the client everything else, and nothing of that again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Iterable
from typing import Any

from functions.contract.bus import MAX_BYTES, BusMessageError
from socket_host.bus import Bus
from socket_host.bus.seen_messages import SeenMessages
from socket_host.transport.bucket import Bucket
from socket_host.transport.native.answer_times import AnswerTimes
from socket_host.transport.native.migrated_clients import SKEW_SECONDS, MigratedClients
from socket_host.transport.native.migration_request import MigrationRequest
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

ASK_SECONDS = 2.0  # for the others to answer; then the client begins anew

# Clients a second, and at once, that other hosts are asked about; and as many answers under way.
# Whoever comes beyond that begins anew.
ASKS_PER_SECOND = 100
MAX_ASKS = 1_000

# Bytes a second, and at once, of what clients missed that other hosts bring here.
_BYTES_PER_SECOND = 1024 * 1024
_MAX_BYTES = 32 * 1024 * 1024

# Clients that nobody knew: their pids are not asked about again for a while.
_UNKNOWN_SECONDS = 60.0
_MAX_UNKNOWN = 10_000

MAX_INHERITED = 32 * 1024 * 1024  # bytes that hosts that ended leave here: the last of them

_ESTATE_SECONDS = 0.4  # to wait for the rest of what a host leaves


class SessionMigration:
    """Gives clients to other hosts, and gets them from there."""

    def __init__(self, bus: Bus, recovery: Recovery, seconds: float) -> None:
        self._bus = bus
        self._recovery = recovery
        self._requests: dict[str, MigrationRequest] = {}
        self._asks = Bucket(ASKS_PER_SECOND, MAX_ASKS)
        self._inflow = Bucket(_BYTES_PER_SECOND, _MAX_BYTES)
        self._unknown: TimeoutQueue[Key] = TimeoutQueue(_UNKNOWN_SECONDS, lambda key: None)
        self._answer_times = AnswerTimes(bus.ANSWER_SECONDS / 2)
        self._snapshots: dict[str, ShutdownSnapshot] = {}
        self._expiry: TimeoutQueue[str] = TimeoutQueue(seconds, self._forget)
        self._migrated = MigratedClients()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writing = asyncio.Lock()
        recovery.migration = self
        bus.peers.subscribe(joined=self._wait_for, lost=self._lost, heard=self._heard)
        bus.subscribe("recovery.ask", self._asked)
        bus.subscribe("recovery.answer", self._answered)
        bus.subscribe("recovery.estate", self._inherit)
        bus.subscribe("recovery.claim", self._claimed)

    def stop(self) -> None:
        """Leave those who may come back to the other hosts."""
        for timeouts in (self._expiry, self._unknown):
            timeouts.clear()
        self._migrated.stop()
        for asked in self._requests.values():
            if not asked.answer.done():
                asked.answer.set_result(None)
        disconnected = self._recovery.take_all()
        if disconnected and self._bus.peers:
            try:
                for piece in pieces(self._recovery.replay_buffer, disconnected, self._bus.had()):
                    self._bus.announce("recovery.estate", piece)
            except (BusMessageError, TypeError, ValueError) as error:  # some of it is no JSON
                _log.warning("Clients that dropped begin anew on other hosts: %s", error)

    # Clients that come

    async def find(
        self, namespace: str, sid: str, offset: str | None, *, ask: bool = True
    ) -> ResumedSession | None:
        """Return the return of a client that another host has, or has left; None if none has.

        `ask` says if another host may still have it.
        """
        key = namespace, sid
        if (back := self._left(key, offset)) is not None:
            return back
        if not ask or not self._may_ask(key):
            return None
        self._unknown.set(key)
        back = await self._ask(key, offset)
        if back is not None:
            self._unknown.drop(key)
        return back

    def elsewhere(self, message_id: str) -> list[str]:
        """Return the sids of those who have had this message on the host they came from."""
        return self._migrated.who_had(message_id)

    def _may_ask(self, key: Key) -> bool:
        """Tell if somebody is there to ask, and if it is not too much."""
        return (
            bool(self._bus.peers or self._bus.peers.strangers_for())
            and key not in self._unknown
            and len(self._unknown) < _MAX_UNKNOWN
            and len(self._requests) < MAX_ASKS
            and self._asks.take()
        )

    async def _ask(self, key: Key, offset: str | None) -> ResumedSession | None:
        loop = asyncio.get_running_loop()
        request_id = secrets.token_urlsafe(12)
        waits_for = set(self._bus.peers) - self._answer_times.suspects
        asked = MigrationRequest(key, offset, loop.time(), waits_for, loop.create_future())
        timers = [
            loop.call_later(self._answer_times.seconds, self._doubt, request_id, list(waits_for))
        ]
        if seconds := self._bus.peers.strangers_for():
            # We are one of those who answer no, and do so when we know all others.
            waits_for.add(self._bus.host_id)
            host = self._bus.host_id
            timers.append(loop.call_later(seconds, self._answered, host, [request_id, None]))
        try:
            if not waits_for:
                return None
            self._requests[request_id] = asked
            self._bus.announce("recovery.ask", [request_id, *key, offset])
            async with asyncio.timeout(ASK_SECONDS):
                return await asked.answer
        except (TimeoutError, BusMessageError):
            return None
        finally:
            self._requests.pop(request_id, None)
            for timer in timers:
                timer.cancel()

    def _wait_for(self, host: str) -> None:
        """Have a host that has just answered our greeting answer the open requests too."""
        loop = asyncio.get_running_loop()
        for request_id, asked in self._requests.items():
            if self._bus.host_id in asked.waits_for:
                asked.waits_for.add(host)
                loop.call_later(self._answer_times.seconds, self._doubt, request_id, [host])

    def _doubt(self, request_id: str, hosts: Iterable[str]) -> None:
        """Suspect those hosts that have said nothing since, and wait for them no longer."""
        if (asked := self._requests.get(request_id)) is not None:
            for host in asked.waits_for.intersection(hosts):
                if self._answer_times.doubt(host, asked.at):
                    self._release(host)

    def _lost(self, host: str) -> None:
        self._answer_times.forget(host)
        self._release(host)

    def _heard(self, host: str, state: object = None) -> None:
        known = host in self._bus.peers
        self._answer_times.heard(host, asyncio.get_running_loop().time() if known else None)

    def _release(self, host: str) -> None:
        for asked in self._requests.values():
            self._no(asked, host)

    def _no(self, asked: MigrationRequest, host: str) -> None:
        """Take a host's no for an answer, when all others have said no."""
        asked.waits_for.discard(host)
        if not asked.waits_for and not asked.answer.done():
            asked.answer.set_result(None)

    def _answered(self, host: str, said: Any) -> None:
        match said:
            case [str(request_id), state]:
                asked = self._requests.get(request_id)
            case _:
                return
        if asked is None or asked.answer.done():
            return
        if host != self._bus.host_id:
            self._answer_times.answered(asyncio.get_running_loop().time() - asked.at)
            self._heard(host)
        back = None if state is None else self._brought(asked, state)
        if back is None:
            self._no(asked, host)
        else:
            asked.answer.set_result(back)

    def _brought(self, asked: MigrationRequest, state: Any) -> ResumedSession | None:
        """Return the return of a client by another host's answer; None if that cannot be used."""
        replay_buffer = self._recovery.replay_buffer
        try:
            rooms, data, missed, had, *attempts = state
            disconnected = DisconnectedSession(
                *asked.key, dict.fromkeys(rooms, 0), data, ReplayPoint(0)
            )
            replay_point = ReplayPoint(
                replay_buffer.position, asked.offset, list(map(_sent, missed)), *attempts
            )
            seen = SeenMessages.of(had)
        except (TypeError, ValueError, AttributeError):  # it speaks another version
            return None
        late = replay_buffer.since(self._surely_had())
        if late is None or not self._inflow.take(sum(sent.size for sent in replay_point.replayed)):
            return None
        news = [e for e in late if e.message_id is not None and not seen.has(e.message_id)]
        back = self._complete(disconnected, replay_point, news)
        if back is not None:
            self._migrated.add(disconnected.sid, self._bus.ahead(seen))
        return back

    def _left(self, key: Key, offset: str | None) -> ResumedSession | None:
        """Return the return of a client that a host has left here, for it is back here."""
        found = self._inherited(key, offset)
        if found is None:
            return None
        back, snapshot = found
        if snapshot.settled is None and snapshot.had is not None:
            if snapshot.ahead is None:
                snapshot.ahead = self._bus.ahead(snapshot.had)
            self._migrated.add(key[1], snapshot.ahead)
        return back

    def _inherited(
        self, key: Key, offset: str | None
    ) -> tuple[ResumedSession, ShutdownSnapshot] | None:
        """Return the return of a client that a host has left, and where it was found."""
        for snapshot in self._snapshots.values():
            if (found := snapshot.take(key, offset)) is None:
                continue
            self._bus.announce("recovery.claim", list(key))
            disconnected, replay_point, missed = found
            if (since := self._since(snapshot)) is None:
                return None
            late, until = since
            here = ReplayPoint(until, offset, missed, replay_point.attempts)
            back = self._complete(disconnected, here, late)
            return None if back is None else (back, snapshot)
        return None

    def _since(self, snapshot: ShutdownSnapshot) -> tuple[list[Entry], int] | None:
        """Return what came here later than to a host that has ended, up to a position.

        After that, all is new. None if it is not known any more.
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
        """Add what this host has had of the bus and the other has not."""
        # It entered them before all that is new here; the other host's positions are none of ours.
        disconnected.rooms = dict.fromkeys(disconnected.rooms, 0)
        try:
            new = disconnected.concerned(self._recovery.replay_buffer, late)
        except LookupError:
            return None
        replay_point.replayed = [*replay_point.replayed, *new]
        disconnected.replay_point = replay_point
        return ResumedSession(disconnected, replay_point)

    def _surely_had(self) -> int:
        """Return the position of our replay buffer up to which other hosts have had all by now."""
        now = asyncio.get_running_loop().time()
        return self._recovery.replay_buffer.position_at(now - SKEW_SECONDS)

    # Clients that go

    def _asked(self, host: str, said: Any) -> None:
        match said:
            case [str(request_id), str(namespace), str(sid), None | str() as offset]:
                pass
            case _:
                return
        key = namespace, sid
        if not self._may_know(key) or len(offset or "") > LONGEST_OFFSET:
            self._bus.announce("recovery.answer", [request_id, None])
        elif len(self._tasks) < MAX_ASKS:  # else they will begin anew
            task = asyncio.create_task(self._answer(request_id, key, offset))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _may_know(self, key: Key) -> bool:
        """Tell if a client is here, or was left here, or may be in what is being left."""
        snapshots = self._snapshots.values()
        return self._recovery.knows(*key) or any(key in e or e.had is None for e in snapshots)

    async def _answer(self, request_id: str, key: Key, offset: str | None) -> None:
        state = None
        try:
            if self._recovery.knows(*key):
                back = await self._recovery.resume(*key, offset)
                had = self._migrated.had(key[1])
            else:
                await self._all_complete()
                found = self._inherited(key, offset)
                back, had = (found[0], found[1].had) if found else (None, None)
            async with self._writing:  # one in a turn of the event loop: it takes a while
                state = back and self._state(back, had)
                await asyncio.sleep(0)
        finally:
            try:
                self._bus.announce("recovery.answer", [request_id, state])
            except BusMessageError:  # it has missed too much
                self._bus.announce("recovery.answer", [request_id, None])

    async def _all_complete(self) -> None:
        """Wait a little for what hosts are about to leave."""
        coming = [
            snapshot.complete.wait()
            for snapshot in self._snapshots.values()
            if snapshot.had is None
        ]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*coming), _ESTATE_SECONDS)

    def _state(self, back: ResumedSession, had: SeenMessages | None) -> list[Any] | None:
        """Return what another host needs; `had` is what the client had before it was here."""
        disconnected = back.disconnected
        missed = disconnected.missed(self._recovery.replay_buffer, back.replay_point)
        if missed is None or not disconnected.portable:
            return None
        if sum(sent.size for sent in missed) > MAX_BYTES:
            return None
        known = self._bus.had()
        if had is not None:
            seen = SeenMessages.of(known)
            seen.add(had)
            known = seen.snapshot(len(known) + len(had))
        written = [sent.to_json() for sent in missed]
        return [
            list(disconnected.rooms),
            disconnected.data,
            written,
            known,
            back.replay_point.attempts,
        ]

    def _claimed(self, host: str, said: Any) -> None:
        match said:
            case [str(namespace), str(sid)]:
                for snapshot in self._snapshots.values():
                    snapshot.forget((namespace, sid))

    # Hosts that end

    def _inherit(self, host: str, piece: Any) -> None:
        snapshot = self._snapshots.get(host) or ShutdownSnapshot(self._surely_had())
        snapshot.add(piece)
        if host not in self._snapshots:
            self._snapshots[host] = snapshot
            self._expiry.set(host)
        while sum(one.size for one in self._snapshots.values()) > MAX_INHERITED:
            self._forget(next(iter(self._snapshots)))
        if snapshot.had is not None:
            self._answer_from_estates()

    def _answer_from_estates(self) -> None:
        for asked in self._requests.values():
            if not asked.answer.done():
                back = self._left(asked.key, asked.offset)
                if back is not None:
                    asked.answer.set_result(back)

    def _forget(self, host: str) -> None:
        self._expiry.drop(host)
        self._snapshots.pop(host, None)


def _sent(written: list[str]) -> Sent:
    """Return an event as another host has written it; raises TypeError or ValueError."""
    if not all(isinstance(part, str) for part in written):
        raise TypeError
    return Sent.of(*written)
