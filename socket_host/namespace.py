"""The namespace: the base class of yours, with the checks that precede your handlers.

A client is admitted only with a session, and while the host is not full. Its events are limited in
rate and matched to a handler by name; one that is refused gets an error as its ack. The bytes that
an event causes to be sent are charged to its visitor. Derive from Namespace and write `on_…`
methods, as in events/.
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
from socket_host.marks import check_marks
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
    """Handles the events of one Socket.IO namespace, named by the attribute `namespace`.

    The method `on_input_change(self, sid, text)` handles the event `input-change` with one
    argument. `@event("auction:bid")` is for event names that cannot be method names. A handler's
    return value is the ack; an EventError becomes the ack's `error`. `on_connect` and
    `on_disconnect` are called when a client connects and disconnects.

    Events named in `volatile` are not kept for clients whose connection drops. Use it for events of
    which only the last value matters, and send that in `on_recover`.
    """

    namespace = "/"

    def __init__(self, settings: Settings, namespace: str | None = None) -> None:
        """Raise StartError for handlers that cannot be used."""
        check_marks(type(self), Namespace)
        super().__init__(settings, namespace or self.namespace)
        self.refused: Counter[str] = Counter()
        self._clients: dict[str, Member] = {}  # by sid
        kind = type(self)
        self._greets = kind.on_connect is not Namespace.on_connect
        self._recovers = kind.on_recover is not Namespace.on_recover
        self._guards_rooms = kind.may_join is not Namespace.may_join
        self._handlers = find_handlers(self, Namespace)
        # Events that are checked before they begin: None stands for those that no client may send.
        self._guarded: dict[str, Handler | None] = dict.fromkeys(RESERVED_EVENTS)
        self._guarded |= {name: one for name, one in self._handlers.items() if one.limit}
        self._in_progress = 0
        self._settled: asyncio.Event | None = None  # only while `settle` waits

    def health(self) -> dict[str, Any]:
        """Return the number of clients, counts of refusals, and the status of the tasks."""
        found = {"clients": len(self._clients), "refused": self.refused}
        tasks = self.tasks()
        return {**found, **({"tasks": tasks} if tasks else {})}

    def may_join(self, sid: str, room: str) -> bool:
        """Return whether a client may enter a room; override it to protect rooms.

        If it returns False, `enter_room` raises EventError. When a client recovers its session, it
        is called again for each of its rooms, and the client leaves those it may no longer be in.
        """
        return True

    def forbids(self, sid: str, room: str) -> bool:
        """Whether a client is on this host, and may not enter a room."""
        return self._guards_rooms and sid in self._clients and not self.may_join(sid, room)

    def admit(self, sid: str, environ: Mapping[str, Any], auth: Any) -> Session:
        """Return the session of a client that may connect; else raise ConnectionRefusedError.

        It must not block, and cannot emit to the client, which is not connected yet.
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
        """Handle a new client, which is connected once this returns; emits to it wait for that.

        To refuse the client, return False or raise ConnectionRefusedError with a reason.
        """
        return None

    async def on_recover(self, sid: str) -> None:
        """Handle a client that has reconnected and recovered its sid, rooms and session.

        Called instead of `on_connect`. The events that the client missed are sent before those that
        this emits.
        """

    async def on_disconnect(self, sid: str, reason: str) -> None:
        """Handle the end of a connection; its client may still reconnect and recover."""

    def identify(self, environ: Mapping[str, Any], auth: Any) -> str:
        """Return the id of the visitor whose session this is; empty if there is none."""
        return self.visitors.identify(environ, auth)

    def owner(self, sid: str) -> str:
        """Return the id of the only visitor who may resume this sid."""
        return self.visitor(sid).id if self.visitors.have_sessions else ""

    def visitor(self, sid: str) -> Session:
        """Return the session of a client."""
        return self._clients[sid].session

    def expired(self, sid: str) -> bool:
        """Whether a client's session has expired, so that the transport should close it."""
        client = self._clients.get(sid)
        return client is not None and client.session.expires < time.time()

    def expired_connections(self) -> list[str]:
        """Return the connections of clients whose session has expired."""
        now = time.time()
        return [
            one.client.connection for one in self._clients.values() if one.session.expires < now
        ]

    def sids_of(self, visitor: str, signed_in_at: float | None = None) -> list[str]:
        """Return the sids of a visitor's clients on this host, of one sign-in or of all."""
        return [
            sid
            for sid, one in self._clients.items()
            if one.session.id == visitor and signed_in_at in (None, one.session.signed_in_at)
        ]

    def disconnect_visitor(self, visitor: str) -> None:
        """Soon disconnect all clients of a visitor, by id, in all namespaces on all hosts."""
        self.bus.announce_to_all(SESSION_END, {"visitor": visitor})

    async def settle(self) -> None:
        """Wait until all events in progress are answered, up to a limit."""
        self._latest.flush()
        if not self._in_progress:
            return
        self._settled = asyncio.Event()
        try:
            await asyncio.wait_for(self._settled.wait(), _SETTLE_SECONDS)
        except TimeoutError:
            _log.error("The host stops with %d events still unanswered.", self._in_progress)

    def is_here(self, sid: str) -> bool:
        """Return whether a client is still connected."""
        here: bool = sid in self._clients and self.server.manager.is_connected(sid, self.namespace)
        return here

    def enter_room(
        self, sid: str, room: str, namespace: str | None = None
    ) -> Coroutine[Any, Any, None]:
        """Put a client into a room.

        Raises EventError if `may_join` forbids it, if the client is in too many rooms, or if the
        name is too long. For a client of another host, `may_join` is called there; if it forbids
        the room, the client is not put in.
        """
        within = namespace or self.namespace
        if self.server.manager.count_rooms(sid, within) >= MOST_ROOMS:
            raise EventError("You are in too many rooms. Leave some of them.", reason="rooms")
        if isinstance(room, str) and len(room) > LONGEST_ROOM:
            raise EventError("The name of this room is too long.", reason="room")
        guard: Any = self
        if within != self.namespace:
            guard = self.server.namespace_handlers.get(within)
        if isinstance(guard, Namespace) and guard.forbids(sid, room):
            raise EventError("You may not join this room.", reason="room")
        return super().enter_room(sid, room, namespace)

    async def disconnect(self, sid: str, namespace: str | None = None) -> None:
        """Disconnect a client; it does not reconnect by itself.

        While `on_connect` runs for a client, it is refused at the end of that instead.
        """
        member = self._clients.get(sid)
        if member is not None and member.connecting and namespace in (None, self.namespace):
            member.refused = True
        else:
            await super().disconnect(sid, namespace)

    # What the transport calls.

    def begin_event(self, sid: str, event: Any) -> dict[str, Any] | None:
        """Count an event of a client, or return the ack with which it is refused.

        A transport that calls it before `trigger_event` needs no task for a refused event.
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
        return self._refuse(error)

    # Returns the coroutine instead of awaiting it, to save a frame per event.
    def trigger_event(self, event: Any, *args: Any) -> Coroutine[Any, Any, Any]:
        """Handle a client's connect, disconnect or other event; python-socketio calls this."""
        sid, *values = args
        member = self._clients.get(sid)
        if member is None:
            return self._let_in(sid, *values) if event == "connect" else _nothing()
        if event == "disconnect" and not self.server.manager.is_connected(sid, self.namespace):
            return self._disconnected(sid, member, *values)
        return self._answer(sid, member, event, values)

    def let_in(
        self, sid: str, environ: Mapping[str, Any], auth: Any = None
    ) -> Coroutine[Any, Any, None] | None:
        """Admit a client, or raise ConnectionRefusedError.

        May return a coroutine to await first, which calls `on_connect` and may raise
        ConnectionRefusedError too. For a recovered client, `on_recover` runs in its own task.
        """
        session = self._admit(sid, environ, auth)
        if not isinstance(auth, (dict, type(None))):  # handlers look names up in it
            raise self._refused("auth", "The client's `auth` must be an object.")
        member = self.visitors.join(self._connection(sid), session)
        self._clients[sid] = member
        if self.server.recovered(sid, self.namespace):
            if self._guards_rooms:
                self._leave_forbidden(sid, member)
            if self._recovers:
                member.greeting = self.server.start_background_task(self._recovered, sid, member)
            return None
        if not self._greets:
            return None
        member.connecting = True
        return self._greet(sid, member, environ, auth)

    def _admit(self, sid: str, environ: Mapping[str, Any], auth: Any) -> Session:
        try:
            session = self.admit(sid, environ, auth)
            if not isinstance(session, Session):
                raise TypeError(f"admit must return a Session, not {session!r:.100}.")
        except Refused:
            raise
        except EventError as error:
            raise self._refused("connect", str(error)) from None
        except Exception:
            _log.exception("admit failed.")
            raise self._failed() from None
        return session

    def _leave_forbidden(self, sid: str, member: Member) -> None:
        """Take a client that is back out of rooms that it may no longer join."""
        for room in self.rooms(sid):
            try:
                stays = room == sid or self.may_join(sid, room)
            except EventError:
                stays = False
            except Exception:
                _log.exception("may_join failed.")
                self._forget(sid, member)
                raise self._failed() from None
            if not stays:
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
        except EventError as error:  # also one of `enter_room`
            raise self._refused("connect", str(error)) from None
        except FAILURES:
            _log.exception("on_connect failed.")
            raise self._failed() from None
        finally:
            member.connecting = False
            if not welcome:
                self._forget(sid, member)

    async def _recovered(self, sid: str, member: Member) -> None:
        PAYER.set(None)
        try:
            await self.on_recover(sid)
        except FAILURES:
            _log.exception("on_recover failed.")
        finally:
            member.greeting = None

    async def _disconnected(self, sid: str, member: Member, reason: str = "") -> None:
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
        """Return the id of a client's connection, which its namespaces share."""
        connection: str | None = self.server.manager.eio_sid_from_sid(sid, self.namespace)
        return connection or sid

    def _guard(self, client: Client, event: str) -> EventError | None:
        """Return why a counted event is refused; None if it is not."""
        handler = self._guarded[event]
        error = handler.excess(client) if handler else _UNKNOWN
        if error:
            client.waiting -= 1
        return error

    async def _answer(self, sid: str, member: Member, event: Any, values: list[Any]) -> Any:
        self._in_progress += 1
        client, session = member.client, member.session
        counted = 1
        try:
            if client.begun:
                client.begun -= 1
            elif refusal := self.begin_event(sid, event):
                counted = 0
                return refusal
            else:
                client.begun -= 1
            visitors = self.visitors
            if (visitors.fan_out.debts or visitors.replay.debts) and (
                error := visitors.debt(session.id)
            ):
                return self._refuse(error)
            PAYER.set(session.id)
            if member.greeting:
                await member.greeting
            if session.expires < time.time():
                raise _expired()
            answer = self._handle(event, sid, member, values)
            del values  # what the handler does not need is freed while it waits
            return await answer if hasattr(answer, "__await__") else answer
        except EventError as error:
            return self._refuse(error)
        except FAILURES:
            _log.exception("The handler of %.100r failed.", event)
            return self._refuse(_FAILED)
        finally:
            client.waiting -= counted
            self._in_progress -= 1
            if self._settled and not self._in_progress:
                self._settled.set()

    def _refuse(self, error: EventError) -> dict[str, Any]:
        self.refused[error.reason] += 1
        return error.to_ack()

    def _handle(self, event: Any, sid: str, member: Member, values: list[Any]) -> Any:
        handler = self._handlers.get(event) if isinstance(event, str) else None
        if handler is None:
            return self._refuse(_UNKNOWN)
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
        return self._refused("failed", "The host could not accept the connection. Try again.")


# Returned, not raised: see limits.
_UNKNOWN = EventError("There is no handler for this event.", reason="unknown event")
_FAILED = EventError("Something went wrong on the server.", reason="failed", retry=True)


async def _nothing() -> None:
    """Do nothing, for a client that is not connected."""


def _expired() -> EventError:
    # `retry`, because the event is accepted once the client has reconnected with a new session.
    words = "Your session has expired. Reload the page to go on."
    return EventError(words, reason="session", retry=True)
