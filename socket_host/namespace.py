"""The namespace: what every event passes before your handler sees it, and what it is spared.

A client is let in only with a session and while there is room; its events are counted against
its allowance, matched to a handler by name, and answered in words when something is wrong with
them. What its events cost the host, in bytes sent to whoever hears them, is charged to the visitor.
Derive from Namespace and write `on_...` methods, as those in events/ do.
"""

import asyncio
import inspect
import logging
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple, TypeVar

import socketio  # type: ignore[import-untyped]  # python-socketio ships no types
from socketio.exceptions import (  # type: ignore[import-untyped]  # as above
    ConnectionRefusedError as Refused,
)

from functions.contract.cookie import read_cookie
from functions.contract.session import Session, SessionError, Sessions
from socket_host.bus import Bus
from socket_host.event_error import EventError
from socket_host.latest import Latest
from socket_host.limits import Allowance, Meter
from socket_host.settings import Settings
from socket_host.transport.hooks import Hooks

_log = logging.getLogger(__name__)

# How long a stopping host waits for handlers: longer than a store waits for another process.
_SETTLE_SECONDS = 15.0

_BURST = 4.0  # seconds' worth of bytes that a visitor, or a room, may use at once

# The part of the replay buffer that one visitor can fill in the time for which it is kept.
_REPLAY_SHARE = 1 / 8

_SMALL = 1_024  # bytes of an answer that the event itself has paid for

_MOST_LARGE = 4  # events that wait until their client gets the next large answer

# The client whose event is being answered: it pays for what that causes, in tasks begun by it too.
_payer: ContextVar["_Client | None"] = ContextVar("payer", default=None)

_F = TypeVar("_F", bound=Callable[..., Any])


def large_answer(method: _F) -> _F:
    """Mark a handler whose answers can be large.

    A client gets them one at a time, each when it has read what it was sent before. A client that
    has gone gets none.
    """
    method.large_answer = True  # type: ignore[attr-defined]  # functions take any attribute
    return method


class Namespace(socketio.AsyncNamespace, Hooks):  # type: ignore[misc]  # python-socketio ships no types
    """Answers the events of one Socket.IO namespace, which the attribute `namespace` names.

    The method `on_input_change(self, sid, text)` answers the event `input-change` with one
    argument. What it returns is the ack; an EventError it raises is the ack's `error`. `on_connect`
    and `on_disconnect` are told of clients that came and went.

    Events named in `volatile` are not kept for clients that drop: of those only the last value
    matters, and `on_recover` can send that.
    """

    namespace = "/"

    def __init__(self, settings: Settings, namespace: str | None = None) -> None:
        super().__init__(namespace or self.namespace)
        self.settings = settings
        self.refused: Counter[str] = Counter()
        secret, former = settings.session_secret, settings.former_secrets
        self._sessions = None if secret is None else Sessions(secret, *former)
        self._clients: dict[str, _Client] = {}
        self._visits: Counter[str] = Counter()  # clients by the id of their visitor
        kind = type(self)
        self._greets = kind.on_connect is not Namespace.on_connect
        self._greets_back = kind.on_recover is not Namespace.on_recover
        self._handlers = {
            name.removeprefix("on_"): _Handler(getattr(self, name))
            for name in dir(self)
            if name.startswith("on_") and name not in ("on_connect", "on_disconnect")
        }
        self._fan_out = Meter(settings.fanout_bytes_per_second, _BURST)  # by visitor
        self._rooms = Meter(settings.room_bytes_per_second, _BURST)  # by room; None is all
        # Half of the share at once, the other half over the time for which events are kept.
        kept = settings.recovery_seconds or 1.0
        self._replay = Meter(_REPLAY_SHARE / 2 / kept, kept)  # by visitor, in parts of the buffer
        self._latest: Latest[_Emission] = Latest(self._emit_now, self._wait)
        self._in_progress = 0
        self._settled: asyncio.Event | None = None  # once somebody waits for it

    async def start(self) -> None:
        """Open what the handlers need; called once the host has its port.

        Raises StartError, which stops the host with its text, if that cannot be done.
        """

    async def stop(self) -> None:
        """Close what `start` opened; called when no client and no event is left."""

    def admit(self, sid: str, environ: Mapping[str, Any], auth: Any) -> Session:
        """Return the session of a client that may come in; raise ConnectionRefusedError if not.

        This must not wait, and cannot emit to the client: it does not know yet that it is in.
        """
        if len(self._clients) >= self.settings.max_connections:
            raise self._refused("full", "This host is full. Please try again later.")
        if self._sessions is None:
            return Session.new()
        try:
            session = _session(self._sessions, environ, auth)
        except SessionError as error:
            raise self._refused("session", str(error)) from None
        if self._visits.get(session.id, 0) >= (self.settings.max_per_visitor or math.inf):
            raise self._refused("visitor", "You have too many connections. Close some of them.")
        return session

    async def on_connect(self, sid: str, environ: Mapping[str, Any], auth: Any) -> None:
        """Greet a client that is in: it may be emitted to, and its events wait for the end."""

    async def on_recover(self, sid: str) -> None:
        """Greet a client that dropped and is back with its sid, rooms and session.

        Called in place of `on_connect`. What the client missed is sent before what this emits.
        """

    async def on_disconnect(self, sid: str, reason: str) -> None:
        """Forget a client that is gone, or has dropped and may come back."""

    def identify(self, environ: Mapping[str, Any], auth: Any) -> str:
        """Return the id of the visitor who brings a session; empty if it is none."""
        try:
            return _session(self._sessions, environ, auth).id if self._sessions else ""
        except SessionError:
            return ""

    def owner(self, sid: str) -> str:
        """Return the id of the visitor who alone may have this sid again."""
        return self.visitor(sid).id if self._sessions else ""

    @property
    def bus(self) -> Bus:
        """The bus to the other hosts."""
        bus: Bus = self.server.manager.bus
        return bus

    def visitor(self, sid: str) -> Session:
        """Return the session of a client."""
        return self._clients[sid].session

    def expired(self, sid: str) -> bool:
        """Whether a client has outlived its session; whoever serves it asks, and closes it then."""
        client = self._clients.get(sid)
        return client is not None and client.session.expires < time.time()

    async def settle(self) -> None:
        """Wait until every event that has begun has its answer, or has had time enough."""
        self._latest.flush()
        if not self._in_progress:
            return
        self._settled = asyncio.Event()
        try:
            await asyncio.wait_for(self._settled.wait(), _SETTLE_SECONDS)
        except TimeoutError:
            _log.error("%d events got no answer before the host stopped.", self._in_progress)

    def emit_latest(
        self, event: str, data: Any, *, room: Any, key: Any = None, **options: Any
    ) -> None:
        """Emit to a room an event of which only the last value matters.

        The first one is sent at once. Those that follow are joined into one several times a second,
        and less often if the room is busy. Each `key` has a last value of its own. `options` are
        those of `emit`.
        """
        emission = _Emission(_payer.get(), event, data, room, options)
        self._latest.put((event, room, key), emission)

    def check_room(self, room: Any = None) -> None:
        """Raise EventError if a room, or without one the whole namespace, is sent too much.

        To be called by handlers that emit to a room, before they store anything. The client is told
        to try again.
        """
        if self._rooms.wait(room):
            raise EventError(
                "There is too much going on in this room just now. Try again in a moment.",
                reason="room busy",
                retry=True,
            )

    def spend(self, size: float) -> None:
        """Charge bytes to the visitor whose event is being answered.

        For what costs more than what is sent: rows that are stored, say, at a price per byte. What
        is sent is charged by itself. Raises EventError if the visitor has used too much already.
        """
        client = _payer.get()
        if client is None:
            return
        if error := self._debt(client):
            raise EventError(str(error), reason=error.reason, retry=True)
        self._fan_out.charge(client.session.id, size)

    def audience(self, room: Any, here: int) -> int:
        """Return how many get an event that this host sends to a room, `here` of them from it.

        Override this if you know it. As it is, it takes other hosts to be as full as this one.
        """
        return here * (1 + len(self.bus.peers))

    def is_here(self, sid: str) -> bool:
        """Tell if a client is still there to be answered."""
        here: bool = sid in self._clients and self.server.manager.is_connected(sid, self.namespace)
        return here

    # What the transport calls.

    def count_sent(self, room: Any, reached: int, size: int, kept: float) -> None:
        """Count an event that was sent: to how many, its size, its part of the replay buffer."""
        client = _payer.get()
        if client is not None:
            reached = self.audience(room, reached)
            self._fan_out.charge(client.session.id, reached * size)
            if kept:
                self._replay.charge(client.session.id, kept)
        if isinstance(room, (list, tuple, set, frozenset)):
            for name in room:
                self._rooms.charge(name, reached * size / len(room))
        else:
            self._rooms.charge(room, reached * size)

    def count_answer(self, size: int) -> None:
        """Count the bytes of an answer."""
        client = _payer.get()
        if client is not None and size > _SMALL:
            self._fan_out.charge(client.session.id, size)

    def begin_event(self, sid: str) -> dict[str, Any] | None:
        """Take an event of a client into account, or return the ack of one that is refused.

        A transport that calls this before `trigger_event` spares what it takes to begin an event.
        """
        client = self._clients.get(sid)
        if client is None:
            return None
        error = client.take()
        if error is None:
            client.begun += 1
            return None
        self.refused[error.reason] += 1
        return error.to_ack()

    # Returns the coroutine instead of awaiting it, to save a frame per event.
    def trigger_event(self, event: Any, *args: Any) -> Coroutine[Any, Any, Any]:
        """Let python-socketio hand over whatever happens to a client."""
        sid, *values = args
        client = self._clients.get(sid)
        if client is None:
            return self._let_in(sid, *values) if event == "connect" else _nothing()
        # A client can name its own events `connect` and `disconnect` too; they are no news of it.
        if event == "disconnect" and not self.server.manager.is_connected(sid, self.namespace):
            return self._let_go(sid, client, *values)
        return self._answer(sid, client, event, values)

    def let_in(self, sid: str, environ: Mapping[str, Any], auth: Any = None) -> None:
        """Let a client in, or raise ConnectionRefusedError.

        Whoever calls this tells the client in the same step of the event loop: its greeting begins
        after that, in a task of its own, so that it gets no event before it knows that it is in.
        """
        try:
            session = self.admit(sid, environ, auth)
        except Refused:
            raise
        except Exception:
            _log.exception("admit failed.")
            raise self._refused("failed", "The host could not let you in. Try again.") from None
        client = _Client(session, self.settings)
        self._clients[sid] = client
        self._visits[session.id] += 1
        if self.server.recovered(sid, self.namespace):
            greeting = self._greets_back and partial(self.on_recover, sid)
        else:
            greeting = self._greets and partial(self.on_connect, sid, environ, auth)
        if greeting:
            client.greeting = self.server.start_background_task(self._greet, sid, client, greeting)

    async def _let_in(self, sid: str, environ: Mapping[str, Any], auth: Any = None) -> None:
        self.let_in(sid, environ, auth)

    async def _greet(
        self, sid: str, client: "_Client", greeting: Callable[[], Awaitable[None]]
    ) -> None:
        _payer.set(None)
        try:
            await greeting()
        except Refused:  # admit is the place for that; but never let in whom an app refuses
            client.greeting = None  # on_disconnect would wait for its end
            await self.disconnect(sid)
        except Exception:
            _log.exception("on_connect failed.")
        finally:
            client.greeting = None

    async def _let_go(self, sid: str, client: "_Client", reason: str = "") -> None:
        _payer.set(None)
        try:
            if client.greeting:
                await client.greeting
            await self.on_disconnect(sid, reason)
        except Exception:
            _log.exception("on_disconnect failed.")
        finally:
            del self._clients[sid]
            self._visits[client.session.id] -= 1
            if not self._visits[client.session.id]:
                del self._visits[client.session.id]

    async def _answer(self, sid: str, client: "_Client", event: Any, values: list[Any]) -> Any:
        self._in_progress += 1
        allowed = 1
        try:
            if client.begun:
                client.begun -= 1
            elif error := client.take():
                allowed = 0
                return self._no(error)
            if (self._fan_out.debts or self._replay.debts) and (error := self._debt(client)):
                return self._no(error)
            _payer.set(client)
            if client.greeting:
                await client.greeting
            if client.session.expires < time.time():
                raise _expired()
            answer = self._handle(event, sid, client, values)
            return await answer if hasattr(answer, "__await__") else answer
        except EventError as error:
            return self._no(error)
        except Exception:
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

    def _debt(self, client: "_Client") -> EventError | None:
        """Return why a visitor whose events have cost too much has to wait, if so."""
        visitor = client.session.id
        return _COSTLY if self._fan_out.wait(visitor) or self._replay.wait(visitor) else None

    def _handle(self, event: Any, sid: str, client: "_Client", values: list[Any]) -> Any:
        handler = self._handlers.get(event.replace("-", "_")) if isinstance(event, str) else None
        if handler is None:
            raise EventError(
                "Nothing here answers to an event of that name.", reason="unknown event"
            )
        if not handler.fewest <= len(values) <= handler.most:
            raise EventError(f"This event takes {handler.takes}, not {len(values)}.")
        if handler.large:
            return self._in_turn(sid, client, handler, values)
        return handler.method(sid, *values)

    async def _in_turn(
        self, sid: str, client: "_Client", handler: "_Handler", values: list[Any]
    ) -> Any:
        """Handle an event when the client has read the answers to those before."""
        if client.large > _MOST_LARGE:
            raise EventError(
                "Wait for the answers to what you asked before.", reason="waiting", retry=True
            )
        client.large += 1
        client.turn = client.turn or asyncio.Lock()
        try:
            async with client.turn:
                if not await self.server.caught_up(sid, self.namespace):
                    return None
                answer = handler.method(sid, *values)
                return await answer if hasattr(answer, "__await__") else answer
        finally:
            client.large -= 1
            if not client.large:
                client.turn = None

    def _emit_now(self, emission: "_Emission") -> None:
        former = _payer.set(emission.payer)  # which the task takes over
        try:
            self.server.start_background_task(
                self.emit,
                emission.event,
                emission.data,
                room=emission.room,
                **emission.options,
            )
        finally:
            _payer.reset(former)

    def _wait(self, emission: "_Emission") -> float:
        """Return the seconds for which an event of `emit_latest` has to wait.

        It leaves half of what a visitor and a room may use to events that cannot wait.
        """
        wait = self._rooms.wait_for_half(emission.room)
        if emission.payer is None:
            return wait
        return max(wait, self._fan_out.wait_for_half(emission.payer.session.id))

    def _refused(self, code: str, text: str) -> Exception:
        self.refused[code] += 1
        refused: Exception = Refused(text, {"code": code})
        return refused


# Returned, not raised: see limits.
_COSTLY = EventError(
    "What you send goes to many. Wait a little before you send more.", reason="rate", retry=True
)
_FAILED = EventError("Something went wrong here; it is noted.", reason="failed", retry=True)


class _Emission(NamedTuple):
    """An event that may have to wait, and the client that pays for it."""

    payer: "_Client | None"
    event: str
    data: Any
    room: Any
    options: dict[str, Any]


class _Client(Allowance):
    """What the namespace keeps of a client."""

    __slots__ = ("begun", "greeting", "large", "session", "turn")

    def __init__(self, session: Session, settings: Settings) -> None:
        super().__init__(settings.events_per_second, settings.event_burst)
        self.session = session
        self.greeting: asyncio.Task[None] | None = None
        self.begun = 0  # events that `begin_event` has let in and that are not being answered yet
        self.large = 0  # events for large answers, one of them being answered
        self.turn: asyncio.Lock | None = None  # of the one being answered


class _Handler:
    """A handler method, and how many values an event may bring it."""

    __slots__ = ("fewest", "large", "method", "most")

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = method
        self.large = getattr(method, "large_answer", False)
        parameters = list(inspect.signature(method).parameters.values())[1:]  # after the sid
        self.fewest = sum(p.default is p.empty and p.kind in _SINGLE for p in parameters)
        several = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.most = float("inf") if several else sum(p.kind in _SINGLE for p in parameters)

    @property
    def takes(self) -> str:
        """How many values an event brings it, in words."""
        if self.most == self.fewest:
            return "1 value" if self.most == 1 else f"{self.most or 'no'} values"
        if self.most == math.inf:
            return f"{self.fewest} values or more"
        return f"{self.fewest} to {self.most} values"


async def _nothing() -> None:
    """Happen to a client that is not here."""


_SINGLE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _session(sessions: Sessions, environ: Mapping[str, Any], auth: Any) -> Session:
    """Return the session a client brought, in its auth or in the page's cookie.

    Raises SessionError if it is none.
    """
    match auth:
        case {"session": str(token)}:
            return sessions.verify(token)
    return read_cookie(environ.get("HTTP_COOKIE", ""), sessions).session


def _expired() -> EventError:
    # What was sent is accepted once the client is back with a new one.
    words = "Your session has expired. Reload the page to go on."
    return EventError(words, reason="session", retry=True)
