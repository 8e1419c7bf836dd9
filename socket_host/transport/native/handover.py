"""The handover: a client that comes back to another host than it left gets its state from there.

The new host asks all others; the one that has the client, or what the client's host left when it
ended, answers with its state and with what it missed there. One that has just started takes no "no"
for an answer before all others have had time to greet it. A host that ends leaves its journal, and
those who may come back, to all others.

Hosts hear the messages of the bus in different orders. So the state comes with `had`, what the old
host has had of the bus: of that the client gets nothing from the new host any more, and of all
else everything.
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
from socket_host.bus.memory import Memory
from socket_host.transport.bucket import Bucket
from socket_host.transport.deadlines import Deadlines
from socket_host.transport.native.estate import Estate, pieces
from socket_host.transport.native.journal import Entry, Sent
from socket_host.transport.native.newcomers import SKEW_SECONDS, Newcomers
from socket_host.transport.native.patience import Patience
from socket_host.transport.native.question import Question
from socket_host.transport.native.recovery import (
    LONGEST_OFFSET,
    Dropped,
    Key,
    Recovery,
    Return,
    Visit,
)

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


class Handover:
    """Gives clients to other hosts, and gets them from there."""

    def __init__(self, bus: Bus, recovery: Recovery, seconds: float) -> None:
        self._bus = bus
        self._recovery = recovery
        self._questions: dict[str, Question] = {}
        self._asks = Bucket(ASKS_PER_SECOND, MAX_ASKS)
        self._inflow = Bucket(_BYTES_PER_SECOND, _MAX_BYTES)
        self._unknown: Deadlines[Key] = Deadlines(_UNKNOWN_SECONDS, lambda key: None)
        self._patience = Patience(bus.ANSWER_SECONDS / 2)
        self._estates: dict[str, Estate] = {}
        self._expiry: Deadlines[str] = Deadlines(seconds, self._forget)
        self._newcomers = Newcomers()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writing = asyncio.Lock()
        recovery.handover = self
        bus.peers.watch(joined=self._wait_for, lost=self._lost, heard=self._heard)
        bus.hear("recovery.ask", self._asked)
        bus.hear("recovery.answer", self._answered)
        bus.hear("recovery.estate", self._inherit)
        bus.hear("recovery.claim", self._claimed)

    def stop(self) -> None:
        """Leave those who may come back to the other hosts."""
        for deadlines in (self._expiry, self._unknown):
            deadlines.clear()
        self._newcomers.stop()
        for asked in self._questions.values():
            if not asked.answer.done():
                asked.answer.set_result(None)
        dropped = self._recovery.take_all()
        if dropped and self._bus.peers:
            try:
                for piece in pieces(self._recovery.journal, dropped, self._bus.had()):
                    self._bus.announce("recovery.estate", piece)
            except (BusMessageError, TypeError, ValueError) as error:  # some of it is no JSON
                _log.warning("Clients that dropped begin anew on other hosts: %s", error)

    # Clients that come

    async def find(
        self, namespace: str, sid: str, offset: str | None, *, ask: bool = True
    ) -> Return | None:
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
        return self._newcomers.who_had(message_id)

    def _may_ask(self, key: Key) -> bool:
        """Tell if somebody is there to ask, and if it is not too much."""
        return (
            bool(self._bus.peers or self._bus.peers.strangers_for())
            and key not in self._unknown
            and len(self._unknown) < _MAX_UNKNOWN
            and len(self._questions) < MAX_ASKS
            and self._asks.take()
        )

    async def _ask(self, key: Key, offset: str | None) -> Return | None:
        loop = asyncio.get_running_loop()
        question = secrets.token_urlsafe(12)
        waits_for = set(self._bus.peers) - self._patience.suspects
        asked = Question(key, offset, loop.time(), waits_for, loop.create_future())
        timers = [loop.call_later(self._patience.seconds, self._doubt, question, list(waits_for))]
        if seconds := self._bus.peers.strangers_for():
            # We are one of those who answer no, and do so when we know all others.
            waits_for.add(self._bus.host_id)
            host = self._bus.host_id
            timers.append(loop.call_later(seconds, self._answered, host, [question, None]))
        try:
            if not waits_for:
                return None
            self._questions[question] = asked
            self._bus.announce("recovery.ask", [question, *key, offset])
            async with asyncio.timeout(ASK_SECONDS):
                return await asked.answer
        except (TimeoutError, BusMessageError):
            return None
        finally:
            self._questions.pop(question, None)
            for timer in timers:
                timer.cancel()

    def _wait_for(self, host: str) -> None:
        """Have a host that has just answered our greeting answer the questions too."""
        loop = asyncio.get_running_loop()
        for question, asked in self._questions.items():
            if self._bus.host_id in asked.waits_for:
                asked.waits_for.add(host)
                loop.call_later(self._patience.seconds, self._doubt, question, [host])

    def _doubt(self, question: str, hosts: Iterable[str]) -> None:
        """Suspect those hosts that have said nothing since, and wait for them no longer."""
        if (asked := self._questions.get(question)) is not None:
            for host in asked.waits_for.intersection(hosts):
                if self._patience.doubt(host, asked.at):
                    self._release(host)

    def _lost(self, host: str) -> None:
        self._patience.forget(host)
        self._release(host)

    def _heard(self, host: str, state: object = None) -> None:
        known = host in self._bus.peers
        self._patience.heard(host, asyncio.get_running_loop().time() if known else None)

    def _release(self, host: str) -> None:
        for asked in self._questions.values():
            self._no(asked, host)

    def _no(self, asked: Question, host: str) -> None:
        """Take a host's no for an answer, when all others have said no."""
        asked.waits_for.discard(host)
        if not asked.waits_for and not asked.answer.done():
            asked.answer.set_result(None)

    def _answered(self, host: str, said: Any) -> None:
        match said:
            case [str(question), state]:
                asked = self._questions.get(question)
            case _:
                return
        if asked is None or asked.answer.done():
            return
        if host != self._bus.host_id:
            self._patience.answered(asyncio.get_running_loop().time() - asked.at)
            self._heard(host)
        back = None if state is None else self._brought(asked, state)
        if back is None:
            self._no(asked, host)
        else:
            asked.answer.set_result(back)

    def _brought(self, asked: Question, state: Any) -> Return | None:
        """Return the return of a client by another host's answer; None if that cannot be used."""
        journal = self._recovery.journal
        try:
            rooms, data, missed, had, *attempts = state
            dropped = Dropped(*asked.key, dict.fromkeys(rooms, 0), data, Visit(0))
            visit = Visit(journal.position, asked.offset, list(map(_sent, missed)), *attempts)
            memory = Memory.of(had)
        except (TypeError, ValueError, AttributeError):  # it speaks another version
            return None
        late = journal.since(self._surely_had())
        if late is None or not self._inflow.take(sum(sent.size for sent in visit.replayed)):
            return None
        news = [e for e in late if e.message_id is not None and not memory.has(e.message_id)]
        back = self._complete(dropped, visit, news)
        if back is not None:
            self._newcomers.add(dropped.sid, self._bus.ahead(memory))
        return back

    def _left(self, key: Key, offset: str | None) -> Return | None:
        """Return the return of a client that a host has left here, for it is back here."""
        found = self._inherited(key, offset)
        if found is None:
            return None
        back, estate = found
        if estate.settled is None and estate.had is not None:
            if estate.ahead is None:
                estate.ahead = self._bus.ahead(estate.had)
            self._newcomers.add(key[1], estate.ahead)
        return back

    def _inherited(self, key: Key, offset: str | None) -> tuple[Return, Estate] | None:
        """Return the return of a client that a host has left, and where it was found."""
        for estate in self._estates.values():
            if (found := estate.take(key, offset)) is None:
                continue
            self._bus.announce("recovery.claim", list(key))
            dropped, visit, missed = found
            if (since := self._since(estate)) is None:
                return None
            late, until = since
            here = Visit(until, offset, missed, visit.attempts)
            back = self._complete(dropped, here, late)
            return None if back is None else (back, estate)
        return None

    def _since(self, estate: Estate) -> tuple[list[Entry], int] | None:
        """Return what came here later than to a host that has ended, up to a position.

        After that, all is new. None if it is not known any more.
        """
        journal = self._recovery.journal
        if estate.settled is not None:
            found = [journal.entry(position) for position in estate.late]
            late = [entry for entry in found if entry is not None]
            return (late, estate.settled) if len(late) == len(found) else None
        entries = journal.since(estate.position)
        if entries is None or estate.had is None:
            return None
        end = estate.completed_at + SKEW_SECONDS
        is_settled = end < asyncio.get_running_loop().time()
        until = journal.position_at(end) if is_settled else journal.position
        late = [
            entry
            for entry in entries
            if entry.position <= until
            and entry.message_id is not None
            and not estate.had.has(entry.message_id)
        ]
        if is_settled:
            estate.settled, estate.late = until, [entry.position for entry in late]
        return late, until

    def _complete(self, dropped: Dropped, visit: Visit, late: list[Entry]) -> Return | None:
        """Add what this host has had of the bus and the other has not."""
        # It entered them before all that is new here; the other host's positions are none of ours.
        dropped.rooms = dict.fromkeys(dropped.rooms, 0)
        try:
            new = dropped.concerned(self._recovery.journal, late)
        except LookupError:
            return None
        visit.replayed = [*visit.replayed, *new]
        dropped.visit = visit
        return Return(dropped, visit)

    def _surely_had(self) -> int:
        """Return the position of our journal up to which other hosts have had all by now."""
        now = asyncio.get_running_loop().time()
        return self._recovery.journal.position_at(now - SKEW_SECONDS)

    # Clients that go

    def _asked(self, host: str, said: Any) -> None:
        match said:
            case [str(question), str(namespace), str(sid), None | str() as offset]:
                pass
            case _:
                return
        key = namespace, sid
        if not self._may_know(key) or len(offset or "") > LONGEST_OFFSET:
            self._bus.announce("recovery.answer", [question, None])
        elif len(self._tasks) < MAX_ASKS:  # else they will begin anew
            task = asyncio.create_task(self._answer(question, key, offset))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _may_know(self, key: Key) -> bool:
        """Tell if a client is here, or was left here, or may be in what is being left."""
        estates = self._estates.values()
        return self._recovery.knows(*key) or any(key in e or e.had is None for e in estates)

    async def _answer(self, question: str, key: Key, offset: str | None) -> None:
        state = None
        try:
            if self._recovery.knows(*key):
                back = await self._recovery.resume(*key, offset)
                had = self._newcomers.had(key[1])
            else:
                await self._all_complete()
                found = self._inherited(key, offset)
                back, had = (found[0], found[1].had) if found else (None, None)
            async with self._writing:  # one in a turn of the event loop: it takes a while
                state = back and self._state(back, had)
                await asyncio.sleep(0)
        finally:
            try:
                self._bus.announce("recovery.answer", [question, state])
            except BusMessageError:  # it has missed too much
                self._bus.announce("recovery.answer", [question, None])

    async def _all_complete(self) -> None:
        """Wait a little for what hosts are about to leave."""
        coming = [estate.complete.wait() for estate in self._estates.values() if estate.had is None]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*coming), _ESTATE_SECONDS)

    def _state(self, back: Return, had: Memory | None) -> list[Any] | None:
        """Return what another host needs; `had` is what the client had before it was here."""
        dropped = back.dropped
        missed = dropped.missed(self._recovery.journal, back.visit)
        if missed is None or not dropped.portable:
            return None
        if sum(sent.size for sent in missed) > MAX_BYTES:
            return None
        known = self._bus.had()
        if had is not None:
            memory = Memory.of(known)
            memory.add(had)
            known = memory.snapshot(len(known) + len(had))
        written = [sent.to_json() for sent in missed]
        return [list(dropped.rooms), dropped.data, written, known, back.visit.attempts]

    def _claimed(self, host: str, said: Any) -> None:
        match said:
            case [str(namespace), str(sid)]:
                for estate in self._estates.values():
                    estate.forget((namespace, sid))

    # Hosts that end

    def _inherit(self, host: str, piece: Any) -> None:
        estate = self._estates.get(host) or Estate(self._surely_had())
        estate.add(piece)
        if host not in self._estates:
            self._estates[host] = estate
            self._expiry.set(host)
        while sum(one.size for one in self._estates.values()) > MAX_INHERITED:
            self._forget(next(iter(self._estates)))
        if estate.had is not None:
            self._answer_from_estates()

    def _answer_from_estates(self) -> None:
        for asked in self._questions.values():
            if not asked.answer.done():
                back = self._left(asked.key, asked.offset)
                if back is not None:
                    asked.answer.set_result(back)

    def _forget(self, host: str) -> None:
        self._expiry.drop(host)
        self._estates.pop(host, None)


def _sent(written: list[str]) -> Sent:
    """Return an event as another host has written it; raises TypeError or ValueError."""
    if not all(isinstance(part, str) for part in written):
        raise TypeError
    return Sent.of(*written)
