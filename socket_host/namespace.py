"""The namespace: what every event passes before your handler sees it, and what it is spared.

A client is let in only with a session and while there is room; its events are counted against
its allowance, matched to a handler by name, and answered in words when something is wrong with
them. What its events cost the host, in bytes sent to whoever hears them, is charged to the visitor.
Derive from Namespace and write `on_...` methods, as those in events/ do.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any

from socketio.exceptions import (  # type: ignore[import-untyped]  # python-socketio ships no types
    ConnectionRefusedError as Refused,
)

from functions.contract.bus import RESERVED_EVENTS, SESSION_END
from functions.contract.session import Session, SessionError
from socket_host.announcements import subscribe
from socket_host.event_error import EventError
from socket_host.handlers import Handler, event, find_handlers, large_answer
from socket_host.lifespan import LifespanNamespace, every
from socket_host.settings import Settings
from socket_host.transport.hooks import FAILURES, Hooks
from socket_host.visitors import PAYER, Client, Member

__all__ = ["Namespace", "event", "every", "large_answer", "subscribe"]

_log = logging.getLogger(__name__)

# Limits on rooms, because handlers may let clients name them: of one client in a namespace, and the
# characters of a name.
MOST_ROOMS = 1_000
LONGEST_ROOM = 500

# How long a stopping host waits for handlers: longer than a store waits for another process.
_SETTLE_SECONDS = 15.0


class Namespace(LifespanNamespace, Hooks):
    """Answers the events of one Socket.IO namespace, which the attribute `namespace` names.

    The method `on_input_change(self, sid, text)` answers the event `input-change` with one
    argument; `@event("auction:bid")` names one that no method can be called like. What a handler
    returns is the ack; an EventError it raises is the ack's `error`. `on_connect` and
    `on_disconnect` are told of clients that come and go.

    Events named in `volatile` are not kept for clients that drop: of those only the last value
    matters, and `on_recover` can send that.
    """

    namespace = "/"

    def __init__(self, settings: Settings, namespace: str | None = None) -> None:
        """Raise StartError for handlers that cannot be used."""
        super().__init__(settings, namespace or self.namespace)
        self.refused: Counter[str] = Counter()
        self._clients: dict[str, Member] = {}  # by sid
        kind = type(self)
        self.greets = kind.on_connect is not Namespace.on_connect
        self._greets_back = kind.on_recover is not Namespace.on_recover
        self._guards_rooms = kind.may_join is not Namespace.may_join
        self._handlers = find_handlers(self, Namespace)
        # Events that are looked at before they begin: None stands for those that nobody may send.
        self._guarded: dict[str, Handler | None] = dict.fromkeys(RESERVED_EVENTS)
        self._guarded |= {name: one for name, one in self._handlers.items() if one.limit}
        self._in_progress = 0
        self._settled: asyncio.Event | None = None  # once somebody waits for it

    def health(self) -> dict[str, Any]:
        """Return how many clients there are, how often they were refused, and how the tasks are."""
        found = {"clients": len(self._clients), "refused": self.refused}
        tasks = self.tasks()
        return {**found, **({"tasks": tasks} if tasks else {})}

    def may_join(self, sid: str, room: str) -> bool:
        """Tell if a client may enter a room; one that may not gets an EventError.

        A client that comes back is asked for again, and leaves the rooms that it may not be in.
        """
        return True

    def admit(self, sid: str, environ: Mapping[str, Any], auth: Any) -> Session:
        """Return the session of a client that may come in; raise ConnectionRefusedError if not.

        This must not wait, and cannot emit to the client: it does not know yet that it is in.
        """
        connection = self._connection(sid)
        if self.visitors.is_full(connection):
            raise self._refused("full", "This host is full. Please try again later.")
        try:
            session = self.visitors.session(environ, auth)
        except SessionError as error:
            raise self._refused("session", str(error)) from None
        if self.visitors.has_too_many(session, connection):
            raise self._refused("visitor", "You have too many connections. Close some of them.")
        return session

    async def on_connect(self, sid: str, environ: Mapping[str, Any], auth: Any) -> bool | None:
        """Greet a client, which is in when this has come to its end; what is emitted to it waits.

        A client is refused if this returns False or raises: ConnectionRefusedError says why.
        """
        return None

    async def on_recover(self, sid: str) -> None:
        """Greet a client that dropped and is back with its sid, rooms and session.

        Called in place of `on_connect`. What the client missed is sent before what this emits.
        """

    async def on_disconnect(self, sid: str, reason: str) -> None:
        """Forget a client that is gone, or has dropped and may come back."""

    def identify(self, environ: Mapping[str, Any], auth: Any) -> str:
        """Return the id of the visitor who brings a session; empty if it is none."""
        return self.visitors.identify(environ, auth)

    def owner(self, sid: str) -> str:
        """Return the id of the visitor who alone may have this sid again."""
        return self.visitor(sid).id if self.visitors.have_sessions else ""

    def visitor(self, sid: str) -> Session:
        """Return the session of a client."""
        return self._clients[sid].session

    def expired(self, sid: str) -> bool:
        """Whether a client has outlived its session; whoever serves it asks, and closes it then."""
        client = self._clients.get(sid)
        return client is not None and client.session.expires < time.time()

    def expired_connections(self) -> list[str]:
        """Return the connections of clients that have outlived their session."""
        now = time.time()
        return [
            one.client.connection for one in self._clients.values() if one.session.expires < now
        ]

    def sids_of(self, visitor: str, signed_in_at: float | None = None) -> list[str]:
        """Return the clients of a visitor on this host, of one sign-in or of all."""
        return [
            sid
            for sid, one in self._clients.items()
            if one.session.id == visitor and signed_in_at in (None, one.session.signed_in_at)
        ]

    def disconnect_visitor(self, visitor: str) -> None:
        """Send away all clients of a visitor, by its id, in all namespaces of all hosts, soon."""
        self.bus.announce_to_all(SESSION_END, {"visitor": visitor})

    async def settle(self) -> None:
        """Wait until every event that has begun has its answer, or has had time enough."""
        self._latest.flush()
        if not self._in_progress:
            return
        self._settled = asyncio.Event()
        try:
            await asyncio.wait_for(self._settled.wait(), _SETTLE_SECONDS)
        except TimeoutError:
            _log.error("The host stops with %d events still unanswered.", self._in_progress)

    def is_here(self, sid: str) -> bool:
        """Tell if a client is still there to be answered."""
        here: bool = sid in self._clients and self.server.manager.is_connected(sid, self.namespace)
        return here

    def enter_room(
        self, sid: str, room: str, namespace: str | None = None
    ) -> Coroutine[Any, Any, None]:
        """Put a client into a room.

        Raises EventError if it may not join that, or any more.
        """
        within = namespace or self.namespace
        if self.server.manager.count_rooms(sid, within) >= MOST_ROOMS:
            raise EventError("You are in too many rooms. Leave some of them.", reason="rooms")
        if isinstance(room, str) and len(room) > LONGEST_ROOM:
            raise EventError("The name of this room is too long.", reason="room")
        if self._guards_rooms and not self.may_join(sid, room):
            raise EventError("You may not join this room.", reason="room")
        return super().enter_room(sid, room, namespace)

    async def disconnect(self, sid: str, namespace: str | None = None) -> None:
        """Send a client away; it does not come back by itself.

        One whose `on_connect` is under way is refused once that has come to its end.
        """
        member = self._clients.get(sid)
        if member is not None and member.connecting and namespace in (None, self.namespace):
            member.refused = True
        else:
            await super().disconnect(sid, namespace)

    # What the transport calls.

    def begin_event(self, sid: str, event: Any) -> dict[str, Any] | None:
        """Take an event of a client into account, or return the ack of one that is refused.

        A transport that calls this before `trigger_event` spares what it takes to begin an event.
        """
        member = self._clients.get(sid)
        if member is None:
            return None
        client = member.client
        error = client.take()
        if error is None and type(event) is str and event in self._guarded:
            error = self._guard(client, event)
        if error is None:
            client.begun += 1
            return None
        return self._no(error)

    # Returns the coroutine instead of awaiting it, to save a frame per event.
    def trigger_event(self, event: Any, *args: Any) -> Coroutine[Any, Any, Any]:
        """Let python-socketio hand over whatever happens to a client."""
        sid, *values = args
        member = self._clients.get(sid)
        if member is None:
            return self._let_in(sid, *values) if event == "connect" else _nothing()
        if event == "disconnect" and not self.server.manager.is_connected(sid, self.namespace):
            return self._let_go(sid, member, *values)
        return self._answer(sid, member, event, values)

    def let_in(
        self, sid: str, environ: Mapping[str, Any], auth: Any = None
    ) -> Coroutine[Any, Any, None] | None:
        """Let a client in, or raise ConnectionRefusedError.

        Returns what is to be awaited first, if anything is: its greeting, which may raise
        ConnectionRefusedError too. One that is back is greeted in a task of its own.
        """
        try:
            session = self.admit(sid, environ, auth)
        except Refused:
            raise
        except Exception:
            _log.exception("admit failed.")
            raise self._failed() from None
        if not isinstance(auth, (dict, type(None))):  # handlers look names up in it
            raise self._refused("auth", "The client's `auth` must be an object.")
        member = self.visitors.join(self._connection(sid), session)
        self._clients[sid] = member
        if self.server.recovered(sid, self.namespace):
            if self._guards_rooms:
                self._leave_forbidden(sid)
            if self._greets_back:
                member.greeting = self.server.start_background_task(self._greet_back, sid, member)
            return None
        if not self.greets:
            return None
        member.connecting = True
        return self._greet(sid, member, environ, auth)

    def _leave_forbidden(self, sid: str) -> None:
        for room in self.rooms(sid):
            if room != sid and not self.may_join(sid, room):
                self.server.manager.basic_leave_room(sid, self.namespace, room)

    async def _let_in(self, sid: str, environ: Mapping[str, Any], auth: Any = None) -> None:
        if greeting := self.let_in(sid, environ, auth):
            await greeting

    async def _greet(self, sid: str, member: Member, environ: Mapping[str, Any], auth: Any) -> None:
        PAYER.set(None)
        welcome = False
        try:
            answer = await self.on_connect(sid, environ, auth)
            if answer is False or member.refused:
                raise self._refused("connect", "You may not connect here.")
            welcome = True
        except Refused:
            raise
        except FAILURES:
            _log.exception("on_connect failed.")
            raise self._failed() from None
        finally:
            member.connecting = False
            if not welcome:
                self._forget(sid, member)

    async def _greet_back(self, sid: str, member: Member) -> None:
        PAYER.set(None)
        try:
            await self.on_recover(sid)
        except FAILURES:
            _log.exception("on_recover failed.")
        finally:
            member.greeting = None

    async def _let_go(self, sid: str, member: Member, reason: str = "") -> None:
        PAYER.set(None)
        try:
            if member.greeting and member.greeting is not asyncio.current_task():
                await member.greeting
            await self.on_disconnect(sid, reason)
        except FAILURES:
            _log.exception("on_disconnect failed.")
        finally:
            self._forget(sid, member)

    def _forget(self, sid: str, member: Member) -> None:
        if self._clients.pop(sid, None) is not None:
            self.visitors.leave(member)

    def _connection(self, sid: str) -> str:
        """Return the id of the connection of a client, which its namespaces share."""
        connection: str | None = self.server.manager.eio_sid_from_sid(sid, self.namespace)
        return connection or sid

    def _guard(self, client: Client, event: str) -> EventError | None:
        """Return why an event that has begun may not go on, if it is one of those with a limit."""
        handler = self._guarded[event]
        error = handler.excess(client) if handler else _UNKNOWN
        if error:
            client.waiting -= 1
        return error

    async def _answer(self, sid: str, member: Member, event: Any, values: list[Any]) -> Any:
        self._in_progress += 1
        client, session = member.client, member.session
        allowed = 1
        try:
            if client.begun:
                client.begun -= 1
            elif refusal := self.begin_event(sid, event):
                allowed = 0
                return refusal
            else:
                client.begun -= 1
            visitors = self.visitors
            if (visitors.fan_out.debts or visitors.replay.debts) and (
                error := visitors.debt(session.id)
            ):
                return self._no(error)
            PAYER.set(session.id)
            if member.greeting:
                await member.greeting
            if session.expires < time.time():
                raise _expired()
            answer = self._handle(event, sid, member, values)
            del values  # what the handler does not need is freed while it waits
            return await answer if hasattr(answer, "__await__") else answer
        except EventError as error:
            return self._no(error)
        except FAILURES:
            _log.exception("The handler of %.100r failed.", event)
            return self._no(_FAILED)
        finally:
            client.waiting -= allowed
            self._in_progress -= 1
            if self._settled and not self._in_progress:
                self._settled.set()

    def _no(self, error: EventError) -> dict[str, Any]:
        self.refused[error.reason] += 1
        return error.to_ack()

    def _handle(self, event: Any, sid: str, member: Member, values: list[Any]) -> Any:
        handler = self._handlers.get(event) if isinstance(event, str) else None
        if handler is None:
            return self._no(_UNKNOWN)
        if handler.large:
            handler.check_size(values)
        if not handler.plain or not handler.fewest <= len(values) <= handler.most:
            values = handler.check(member.session, values)
        if handler.large:
            read = partial(self.server.caught_up, sid, self.namespace)
            return handler.in_turn(member.client, read, sid, values)
        return handler.method(sid, *values)

    def _refused(self, code: str, text: str) -> Exception:
        self.refused[code] += 1
        refused: Exception = Refused(text, {"code": code})
        return refused

    def _failed(self) -> Exception:
        return self._refused("failed", "The host could not let you in. Try again.")


# Returned, not raised: see limits.
_UNKNOWN = EventError("Nothing here answers to an event of that name.", reason="unknown event")
_FAILED = EventError("Something went wrong here; it is noted.", reason="failed", retry=True)


async def _nothing() -> None:
    """Happen to a client that is not here."""


def _expired() -> EventError:
    # What was sent is accepted once the client is back with a new one.
    words = "Your session has expired. Reload the page to go on."
    return EventError(words, reason="session", retry=True)
