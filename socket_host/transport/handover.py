"""The handover: a client that comes back to another host than it left gets its state from there.

The new host asks all others; the one that has the client answers with its state and with what it
missed there. One that has just started takes no "no" for an answer before all others have had time
to greet it. A host that ends leaves its journal, and those who may come back, to all others.

Hosts hear the messages of the bus in different orders. So the state comes with `had`, what the old
host has had of the bus: of that the client gets nothing from the new host any more, and of all
else everything.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass
from typing import Any

from functions.contract.bus import BusMessageError
from socket_host.bus import Bus
from socket_host.bus.memory import Memory
from socket_host.transport.deadlines import Deadlines
from socket_host.transport.estate import Estate, pieces
from socket_host.transport.journal import Sent
from socket_host.transport.recovery import Dropped, Key, Recovery, Return, Visit

_log = logging.getLogger(__name__)

ASK_SECONDS = 2.0  # for the others to answer; then the client begins anew

# How much later one host may hear a message of the bus than another.
_SKEW_SECONDS = 5.0


@dataclass(slots=True)
class Question:
    """What a host has asked the others: where is this client?"""

    key: Key
    offset: str | None
    waits_for: set[str]
    answer: asyncio.Future[Return | None]


class Handover:
    """Gives clients to other hosts, and gets them from there."""

    def __init__(self, bus: Bus, recovery: Recovery, seconds: float) -> None:
        self._bus = bus
        self._recovery = recovery
        self._questions: dict[str, Question] = {}
        self._estates: dict[str, Estate] = {}
        self._expiry: Deadlines[str] = Deadlines(seconds, self._forget)
        # Those who have just come from another host, and what they had had there.
        self._arrived: dict[str, Memory] = {}
        self._settling: Deadlines[str] = Deadlines(_SKEW_SECONDS, self._settle)
        self._newest: dict[str, int] = {}  # what any of them has had of each sender
        self._tasks: set[asyncio.Task[None]] = set()
        recovery.handover = self
        bus.peers.watch(joined=self._wait_for)
        bus.hear("recovery.ask", self._asked)
        bus.hear("recovery.answer", self._answered)
        bus.hear("recovery.estate", self._inherit)
        bus.hear("recovery.claim", self._claimed)

    def stop(self) -> None:
        """Leave those who may come back to the other hosts."""
        self._expiry.clear()
        self._settling.clear()
        dropped = self._recovery.take_all()
        if dropped and self._bus.peers:
            try:
                for piece in pieces(self._recovery.journal, dropped, self._bus.had()):
                    self._bus.announce("recovery.estate", piece)
            except (BusMessageError, TypeError, ValueError) as error:  # some of it is no JSON
                _log.warning("Clients that dropped begin anew on other hosts: %s", error)

    # Clients that come

    async def find(self, namespace: str, sid: str, offset: str | None) -> Return | None:
        """Return the return of a client that another host has, or has left; None if none has."""
        key = namespace, sid
        back = self._inherited(key, offset)
        if back is None and (self._bus.peers or self._bus.peers.strangers_for()):
            back = await self._ask(key, offset)
        return back

    def elsewhere(self, message_id: str) -> list[str]:
        """Return the sids of those who have had this message on the host they came from."""
        if not self._arrived:
            return []
        sender, _, number = message_id.rpartition(":")
        if int(number) > self._newest.get(sender, 0):
            return []
        return [sid for sid, had in self._arrived.items() if had.has(message_id)]

    async def _ask(self, key: Key, offset: str | None) -> Return | None:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Return | None] = loop.create_future()
        question = secrets.token_urlsafe(12)
        waits_for = set(self._bus.peers)
        self._questions[question] = Question(key, offset, waits_for, answer)
        if seconds := self._bus.peers.strangers_for():
            # We are one of those who answer no, and do so when we know all others.
            waits_for.add(self._bus.host_id)
            loop.call_later(seconds, self._answered, self._bus.host_id, [question, None])
        self._bus.announce("recovery.ask", [question, *key, offset])
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return await answer
        except TimeoutError:
            return None
        finally:
            del self._questions[question]

    def _wait_for(self, host: str) -> None:
        """Have a host that has just answered our greeting answer the questions too."""
        for asked in self._questions.values():
            if self._bus.host_id in asked.waits_for:
                asked.waits_for.add(host)

    def _answered(self, host: str, said: Any) -> None:
        question, state = said
        asked = self._questions.get(question)
        if asked is None or asked.answer.done():
            return
        if state is not None:
            asked.answer.set_result(self._arrival(asked, *state))
            return
        asked.waits_for.discard(host)
        if not asked.waits_for:
            asked.answer.set_result(None)

    def _arrival(
        self,
        asked: Question,
        rooms: list[Any],
        data: dict[str, Any] | None,
        missed: list[list[str]],
        had: dict[str, list[Any]],
    ) -> Return | None:
        dropped = Dropped(*asked.key, dict.fromkeys(rooms, 0), data, Visit(0))
        sent = [Sent.of(*one) for one in missed]
        return self._complete(dropped, asked.offset, sent, Memory.of(had), self._surely_had())

    def _inherited(self, key: Key, offset: str | None) -> Return | None:
        for estate in self._estates.values():
            found = estate.take(key, offset)
            if found and estate.had:
                self._bus.announce("recovery.claim", list(key))
                return self._complete(found[0], offset, found[1], estate.had, estate.position)
        return None

    def _complete(
        self, dropped: Dropped, offset: str | None, missed: list[Sent], had: Memory, since: int
    ) -> Return | None:
        """Add what this host has had of the bus and the other has not."""
        journal = self._recovery.journal
        entries = journal.since(since)
        if entries is None:
            return None
        new = [e for e in entries if e.message_id is not None and not had.has(e.message_id)]
        # It entered them before all that is new here; the other host's positions are none of ours.
        dropped.rooms = dict.fromkeys(dropped.rooms, 0)
        self._arrived[dropped.sid] = had
        self._settling.set(dropped.sid)
        for sender, highest in had.highest():
            self._newest[sender] = max(highest, self._newest.get(sender, 0))
        missed = missed + dropped.concerned(journal, new)
        return Return(dropped, offset, missed, journal.position)

    def _surely_had(self) -> int:
        """Return the position of our journal up to which other hosts have had all by now."""
        now = asyncio.get_running_loop().time()
        return self._recovery.journal.position_at(now - _SKEW_SECONDS)

    def _settle(self, sid: str) -> None:
        del self._arrived[sid]
        if not self._arrived:
            self._newest.clear()

    # Clients that go

    def _asked(self, host: str, said: Any) -> None:
        task = asyncio.create_task(self._answer(*said))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, question: str, namespace: str, sid: str, offset: str | None) -> None:
        back = await self._recovery.resume(namespace, sid, offset)
        state = back and self._state(back)
        try:
            self._bus.announce("recovery.answer", [question, state])
        except BusMessageError:  # it has missed too much
            self._bus.announce("recovery.answer", [question, None])

    def _state(self, back: Return) -> list[Any] | None:
        dropped = back.dropped
        if not dropped.portable:
            return None
        missed = [sent.to_json() for sent in back.missed]
        return [list(dropped.rooms), dropped.data, missed, self._bus.had()]

    def _claimed(self, host: str, said: Any) -> None:
        for estate in self._estates.values():
            estate.forget((said[0], said[1]))

    # Hosts that end

    def _inherit(self, host: str, piece: Any) -> None:
        estate = self._estates.get(host)
        if estate is None:
            estate = self._estates[host] = Estate(self._surely_had())
            self._expiry.set(host)
        estate.add(piece)
        if estate.had:
            self._answer_from_estates()

    def _answer_from_estates(self) -> None:
        for question in self._questions.values():
            back = self._inherited(question.key, question.offset)
            if back is not None and not question.answer.done():
                question.answer.set_result(back)

    def _forget(self, host: str) -> None:
        self._estates.pop(host, None)
