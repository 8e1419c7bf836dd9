"""Visitors: who is connected to this host, in any namespace, and how much they have used."""

import asyncio
import math
from collections import Counter
from collections.abc import Hashable, Mapping
from contextvars import ContextVar
from typing import Any

from functions.contract.cookie import read_cookie
from functions.contract.session import Session, SessionError, Sessions
from socket_host.event_error import EventError
from socket_host.limits import Allowance, Meter
from socket_host.settings import Settings
from socket_host.transport.bucket import Bucket

BURST = 4.0  # seconds' worth of bytes that a visitor, or a room, may use at once

# The share of the replay buffer that one visitor can fill during the time for which it is kept.
_REPLAY_SHARE = 1 / 8

# The id of the visitor whose event is being handled. They are charged for what it causes, also in
# tasks that it starts.
PAYER: ContextVar[str | None] = ContextVar("payer", default=None)

# Returned, not raised: see limits.
_COSTLY = EventError(
    "You have sent too much. Wait a little before you send more.", reason="rate", retry=True
)


class Client(Allowance):
    """A connection, and how much it may still send, in all namespaces together."""

    __slots__ = ("begun", "buckets", "connection", "large", "members", "turn", "visitor")

    def __init__(self, connection: str, visitor: str, rate: float, burst: int) -> None:
        super().__init__(rate, burst)
        self.connection = connection
        self.visitor = visitor
        self.members = 0  # namespaces that it is in
        self.begun = 0  # events that `begin_event` has accepted, before their handlers start
        self.large = 0  # events for large answers, including the one being handled
        self.turn: asyncio.Lock | None = None  # held by the one being handled
        self.buckets: dict[Hashable, Bucket] | None = None  # of events with their own limit


class Member:
    """A client in a namespace."""

    __slots__ = ("client", "connecting", "greeting", "refused", "session")

    def __init__(self, client: Client, session: Session) -> None:
        self.client = client
        self.session = session
        self.greeting: asyncio.Task[None] | None = None  # runs `on_recover`
        self.connecting = False  # while `on_connect` runs
        self.refused = False  # while `on_connect` runs


class Visitors:
    """The clients of a host, by connection, and what their visitors have cost.

    If the host requires no sessions, each client counts as a visitor of its own.
    """

    def __init__(self, settings: Settings) -> None:
        self.clients: dict[str, Client] = {}
        self.visits: Counter[str] = Counter()  # clients by the id of their visitor
        self._rate, self._burst = settings.events_per_second, settings.event_burst
        self._most = settings.max_connections
        self._most_visits = settings.max_per_visitor or math.inf
        secret, former = settings.session_secret, settings.former_secrets
        self._sessions = None if secret is None else Sessions(secret, *former)
        self.fan_out = Meter(settings.fanout_bytes_per_second, BURST)  # by visitor
        # Half of the share at once, the other half over the time for which events are kept.
        kept = settings.recovery_seconds or 1.0
        self.replay = Meter(_REPLAY_SHARE / 2 / kept, kept)  # by visitor, in parts of the buffer

    @property
    def have_sessions(self) -> bool:
        """Whether clients need a session."""
        return self._sessions is not None

    def is_full(self, connection: str) -> bool:
        """Return whether the host is full for a connection that is not one of its clients yet."""
        return len(self.clients) >= self._most and connection not in self.clients

    def has_too_many(self, session: Session, connection: str) -> bool:
        """Return whether this is a new connection of a visitor who may have no more."""
        full = self.visits.get(session.id, 0) >= self._most_visits
        return full and connection not in self.clients

    def session(self, environ: Mapping[str, Any], auth: Any) -> Session:
        """Return the session in a client's `auth`, or in the page's cookie.

        Raises SessionError if there is none.
        """
        if self._sessions is None:
            return Session.new()
        match auth:
            case {"session": str(token)}:
                return self._sessions.verify(token)
        return read_cookie(environ.get("HTTP_COOKIE", ""), self._sessions).session

    def identify(self, environ: Mapping[str, Any], auth: Any) -> str:
        """Return the id of the visitor whose session this is; empty if there is none."""
        try:
            return self.session(environ, auth).id if self._sessions else ""
        except SessionError:
            return ""

    def join(self, connection: str, session: Session) -> Member:
        """Note that a client has joined a namespace."""
        client = self.clients.get(connection)
        if client is None:
            client = Client(connection, session.id, self._rate, self._burst)
            self.clients[connection] = client
            self.visits[session.id] += 1
        client.members += 1
        return Member(client, session)

    def leave(self, member: Member) -> None:
        """Note that a client has left a namespace; forget it once it is in none."""
        client = member.client
        client.members -= 1
        if client.members:
            return
        del self.clients[client.connection]
        self.visits[client.visitor] -= 1
        if not self.visits[client.visitor]:
            del self.visits[client.visitor]

    def debt(self, visitor: str) -> EventError | None:
        """Return an error if the visitor's events have cost too much; None if not."""
        return _COSTLY if self.fan_out.wait(visitor) or self.replay.wait(visitor) else None
