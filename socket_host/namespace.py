"""The namespace: what every event passes before your handler sees it, and what it is spared.

A client is let in only with a session and while there is room; its events are counted against
its allowance, matched to a handler by name, and answered in words when something is wrong with
them. Derive from Namespace and write `on_...` methods, as events.py does.
"""

import asyncio
import inspect
import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

import socketio  # type: ignore[import-untyped]  # python-socketio ships no types
from socketio.exceptions import (  # type: ignore[import-untyped]  # as above
    ConnectionRefusedError as Refused,
)

from functions.contract.session import COOKIE, Session, SessionError, Sessions
from socket_host.event_error import EventError
from socket_host.limits import Allowance
from socket_host.settings import Settings

_log = logging.getLogger(__name__)

# How long a stopping host waits for handlers: longer than the room log waits for another process.
_SETTLE_SECONDS = 15.0


class Namespace(socketio.AsyncNamespace):  # type: ignore[misc]  # python-socketio ships no types
    """Answers the events of one Socket.IO namespace.

    The method `on_input_change(self, sid, text)` answers the event `input-change` with one
    argument. What it returns is the ack; an EventError it raises is the ack's `error`. `on_connect`
    and `on_disconnect` are told of clients that came and went.
    """

    def __init__(self, settings: Settings, namespace: str = "/") -> None:
        super().__init__(namespace)
        self.settings = settings
        self.refused: Counter[str] = Counter()
        secret = settings.session_secret
        self._sessions = None if secret is None else Sessions(secret)
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
        self._in_progress = 0
        self._settled: asyncio.Event | None = None  # once somebody waits for it

    async def start(self) -> None:
        """Open what the handlers need; called once the host has its port."""

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
            session = self._sessions.verify(_token(environ, auth))
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
            return self._sessions.verify(_token(environ, auth)).id if self._sessions else ""
        except SessionError:
            return ""

    def owner(self, sid: str) -> str:
        """Return the id of the visitor who alone may have this sid again."""
        return self.visitor(sid).id if self._sessions else ""

    def visitor(self, sid: str) -> Session:
        """Return the session of a client."""
        return self._clients[sid].session

    async def settle(self) -> None:
        """Wait until every event that has begun has its answer, or has had time enough."""
        if not self._in_progress:
            return
        self._settled = asyncio.Event()
        try:
            await asyncio.wait_for(self._settled.wait(), _SETTLE_SECONDS)
        except TimeoutError:
            _log.error("%d events got no answer before the host stopped.", self._in_progress)

    # Returns a coroutine instead of being one: a layer less is 0.4 µs less for every event.
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
        try:
            with client.allowance:
                if client.greeting:
                    await client.greeting
                answer = self._handle(event, sid, values)
                return await answer if hasattr(answer, "__await__") else answer
        except EventError as error:
            self.refused[error.reason] += 1
            return error.to_ack()
        except Exception:
            _log.exception("The handler of %.100r failed.", event)
            self.refused["failed"] += 1
            return EventError("Something went wrong here; it is noted.", retry=True).to_ack()
        finally:
            self._in_progress -= 1
            if self._settled and not self._in_progress:
                self._settled.set()

    def _handle(self, event: Any, sid: str, values: list[Any]) -> Any:
        handler = self._handlers.get(event.replace("-", "_")) if isinstance(event, str) else None
        if handler is None:
            raise EventError(
                "Nothing here answers to an event of that name.", reason="unknown event"
            )
        if not handler.fewest <= len(values) <= handler.most:
            raise EventError(f"This event takes {handler.fewest} values, not {len(values)}.")
        return handler.method(sid, *values)

    def _refused(self, code: str, text: str) -> Exception:
        self.refused[code] += 1
        refused: Exception = Refused(text, {"code": code})
        return refused


class _Client:
    """What the namespace keeps of a client."""

    __slots__ = ("allowance", "greeting", "session")

    def __init__(self, session: Session, settings: Settings) -> None:
        self.session = session
        self.allowance = Allowance(settings.events_per_second, settings.event_burst)
        self.greeting: asyncio.Task[None] | None = None


class _Handler:
    """A handler method, and how many values an event may bring it."""

    __slots__ = ("fewest", "method", "most")

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = method
        parameters = list(inspect.signature(method).parameters.values())[1:]  # after the sid
        self.fewest = sum(p.default is p.empty and p.kind in _SINGLE for p in parameters)
        several = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.most = float("inf") if several else sum(p.kind in _SINGLE for p in parameters)


async def _nothing() -> None:
    """Happen to a client that is not here."""


_SINGLE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _token(environ: Mapping[str, Any], auth: Any) -> str:
    """Return the session token a client brought: in its auth, or in the page's cookie."""
    match auth:
        case {"session": str(token)}:
            return token
    # A header for each, joined by commas, is what some proxies make of them. A pattern would take
    # two to four times as long.
    for cookie in environ.get("HTTP_COOKIE", "").replace(",", ";").split(";"):
        name, _, value = cookie.partition("=")
        if name.strip() == COOKIE:
            return str(value.strip())
    return ""
