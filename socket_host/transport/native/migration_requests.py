"""Requests to the other hosts for a session, and which hosts have yet to answer each."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from functions.contract.bus import BusMessageError
from socket_host.bus import Bus
from socket_host.transport.bucket import Bucket
from socket_host.transport.native.answer_times import AnswerTimes
from socket_host.transport.native.recovery import Key, ResumedSession

ASK_SECONDS = 2.0  # for the others to answer; after that, the client gets a new session

# Limits on the requests of this host: per second, and open at the same time. A client beyond them
# gets a new session.
ASKS_PER_SECOND = 100
MAX_OPEN = 1_000


@dataclass(slots=True)
class MigrationRequest:
    """A request for one session; `offset` is the last one that its client has received."""

    key: Key
    offset: str | None
    at: float  # on the event loop's clock
    waits_for: set[str]  # hosts
    answer: asyncio.Future[ResumedSession | None]

    def rule_out(self, host: str) -> None:
        """Note that a host does not have the session; answer None if it was the last."""
        self.waits_for.discard(host)
        if not self.waits_for and not self.answer.done():
            self.answer.set_result(None)


class MigrationRequests:
    """The open requests of this host."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._open: dict[str, MigrationRequest] = {}
        self._rate = Bucket(ASKS_PER_SECOND, MAX_OPEN)
        self._answer_times = AnswerTimes(bus.ANSWER_SECONDS / 2)
        bus.peers.subscribe(joined=self._wait_for, lost=self._lost, heartbeat=self._alive)

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[MigrationRequest]:
        return iter(self._open.values())

    def may_ask(self) -> bool:
        """Return whether the limits allow another request, and count it if they do."""
        return len(self._open) < MAX_OPEN and self._rate.take()

    async def ask(self, key: Key, offset: str | None) -> ResumedSession | None:
        """Ask the other hosts for a session; return None if none has it."""
        loop = asyncio.get_running_loop()
        request_id = secrets.token_urlsafe(12)
        waits_for = set(self._bus.peers) - self._answer_times.suspects
        request = MigrationRequest(key, offset, loop.time(), waits_for, loop.create_future())
        timers = [
            loop.call_later(self._answer_times.seconds, self._suspect, request_id, list(waits_for))
        ]
        if seconds := self._bus.peers.strangers_for():
            # This host has just started. Wait for itself too, until it must know all others.
            waits_for.add(self._bus.host_id)
            timers.append(loop.call_later(seconds, request.rule_out, self._bus.host_id))
        try:
            if not waits_for:
                return None
            self._open[request_id] = request
            self._bus.announce("recovery.ask", [request_id, *key, offset])
            async with asyncio.timeout(ASK_SECONDS):
                return await request.answer
        except (TimeoutError, BusMessageError):
            return None
        finally:
            self._open.pop(request_id, None)
            for timer in timers:
                timer.cancel()

    def answered(self, host: str, request_id: str) -> MigrationRequest | None:
        """Note a host's answer; return the request, or None if it is no longer open."""
        request = self._open.get(request_id)
        if request is None or request.answer.done():
            return None
        self._answer_times.answered(asyncio.get_running_loop().time() - request.at)
        self._alive(host)
        return request

    def stop(self) -> None:
        """Answer all requests with None."""
        for request in self:
            if not request.answer.done():
                request.answer.set_result(None)

    def _wait_for(self, host: str) -> None:
        """Make the open requests wait for a host that this one has only just met."""
        loop = asyncio.get_running_loop()
        for request_id, request in self._open.items():
            if self._bus.host_id in request.waits_for:
                request.waits_for.add(host)
                loop.call_later(self._answer_times.seconds, self._suspect, request_id, [host])

    def _suspect(self, request_id: str, hosts: Iterable[str]) -> None:
        """Stop waiting for those hosts that have been silent since a request."""
        if (request := self._open.get(request_id)) is not None:
            for host in request.waits_for.intersection(hosts):
                if self._answer_times.suspect_if_silent(host, request.at):
                    self._rule_out(host)

    def _lost(self, host: str) -> None:
        self._answer_times.forget(host)
        self._rule_out(host)

    def _alive(self, host: str, state: object = None) -> None:
        known = host in self._bus.peers
        self._answer_times.note_alive(host, asyncio.get_running_loop().time() if known else None)

    def _rule_out(self, host: str) -> None:
        for request in self:
            request.rule_out(host)
