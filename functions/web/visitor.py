"""The visitor: verifies the session cookie on every request, and gives new visitors one."""

import logging
import time
from collections.abc import Mapping
from typing import Any, Protocol

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.contract.cookie import HOST_COOKIE, read_cookie, write_cookie
from functions.contract.session import Session, SessionError, Sessions
from functions.web.emit import EmitError
from functions.web.sender import is_foreign
from functions.web.site import Site, main_app

_log = logging.getLogger(__name__)


class EndedSessions(Protocol):
    """A store of yours with the sessions that were ended before they expired.

    Assign it to `app.state.ended_sessions` in `start` of the pages.
    """

    def end(self, visitor: str) -> None:
        """End all of a visitor's current sessions, because they sign out or are banned."""

    def is_ended(self, session: Session) -> bool:
        """Whether a session was ended: compare its `signed_in_at`. Called on each request."""


class Visitors:
    """ASGI middleware that verifies the session cookie, or issues one, before a page runs.

    `sign_in` and `sign_out` replace the request's session before its response starts.

    A request that another site's page sent to change something has a new session, which gets no
    cookie: browsers leave the visitor's cookie (SameSite=Lax) out of such a request, so a new one
    would sign them out. Nor does a response get a cookie if shared caches may store it.
    """

    def __init__(self, app: ASGIApp, *, sessions: Sessions, secure: bool) -> None:
        self.app = app
        self.sessions = sessions
        self.secure = secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        foreign = is_foreign(scope)
        if foreign:
            session, known, due = Session.new(), False, False
        else:
            cookies = Headers(scope=scope).getlist("cookie")
            session, known, due = self._session("; ".join(cookies))
        if session.signed_in_at:
            ended = _ended_sessions(scope)
            if ended is not None and ended.is_ended(session):
                session, known, due = Session.new(), False, True
        state = scope.setdefault("state", {})
        state.update(session=session, known=known, foreign=foreign, main_app=scope["app"])

        async def send_with_cookie(message: Message) -> None:
            held: Session = state["session"]
            if message["type"] == "http.response.start" and (due or held is not session):
                message.setdefault("headers", [])
                headers = MutableHeaders(scope=message)
                if held is not session or not _is_cacheable(headers):
                    token, max_age = self.sessions.issue(held), self.sessions.max_age
                    headers.append("set-cookie", write_cookie(token, max_age, secure=self.secure))
            await send(message)

        await self.app(scope, receive, send_with_cookie)

    def _session(self, header: str) -> tuple[Session, bool, bool]:
        """Return a visitor's session, whether a cookie had it, and whether to issue a cookie."""
        try:
            cookie = read_cookie(header, self.sessions)
        except SessionError:
            return Session.new(), False, True
        renamed = self.secure and cookie.name != HOST_COOKIE
        return cookie.session, True, renamed or self.sessions.is_due(cookie.token)


def _is_cacheable(headers: Headers) -> bool:
    """Whether a response allows shared caches to store it."""
    directives = headers.get("cache-control", "").lower()
    return "public" in directives or "s-maxage" in directives


def visitor(request: Request) -> Session:
    """Return the session of the visitor who requested this page."""
    session: Session = request.state.session
    return session


def sign_in(
    request: Request,
    *,
    id: str,  # noqa: A002 - its name in a session
    name: str,
    claims: Mapping[str, Any] | None = None,
) -> Session:
    """Sign the visitor in as one of your users, and return the new session.

    `id` identifies a user, and `name` is shown to others. Pages and events may require `claims`.
    They are JSON, and must be short because they are stored in a cookie. `auth_time`, the current
    time in seconds since 1970, is added to them. Both halves use the new session from the next
    request on; sockets that are already open keep their session.

    Raises ValueError for a session that cannot be issued.
    """
    if not isinstance(id, str) or not id or not id.isprintable():
        raise ValueError(f"a visitor's id must be a printable string, not {id!r}")
    if not isinstance(name, str):
        raise ValueError(f"a visitor's name must be a string, not {name!r}")
    if not isinstance(claims, Mapping | None):
        raise ValueError(f"a visitor's claims must be a dictionary, not {claims!r}")
    session = Session(id, name, claims={"auth_time": round(time.time(), 6), **(claims or {})})
    Site.of(request).sessions.issue(session)  # raises now if the session cannot be issued
    request.state.session = session
    return session


def sign_out(request: Request, *, everywhere: bool = False) -> Session:
    """Replace the visitor's session with a new, anonymous one, and return it.

    Sockets of the old session are disconnected, on every host. `everywhere` ends all sessions of
    the visitor, in other browsers too. It needs a store, see EndedSessions, and raises RuntimeError
    if there is none.
    """
    former, session = visitor(request), Session.new()
    if everywhere:
        ended = _ended_sessions(request.scope)
        if ended is None:
            raise RuntimeError(
                "sign_out(everywhere=True) needs a store: set app.state.ended_sessions in `start` "
                "of functions/pages. See docs/sign-in.md."
            )
        ended.end(former.id)
    request.state.session = session
    this = None if everywhere else former.signed_in_at or None
    try:
        Site.of(request).emitter.disconnect(former.id, signed_in_at=this)
    except EmitError as error:
        _log.warning("The sockets of a visitor who signed out were not closed: %s", error)
    return session


def _ended_sessions(scope: Scope) -> EndedSessions | None:
    ended: EndedSessions | None = getattr(main_app(scope).state, "ended_sessions", None)
    return ended
