"""Who asks: every page knows its visitor's session, and a new visitor gets one in a cookie."""

from contextlib import suppress

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.contract.session import COOKIE, Session, SessionError, Sessions


class Visitors:
    """ASGI middleware that verifies the session cookie, or issues one, before a page runs."""

    def __init__(self, app: ASGIApp, *, sessions: Sessions, secure: bool) -> None:
        self.app = app
        self.sessions = sessions
        self.secure = secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        session, known, due = self._session(HTTPConnection(scope).cookies.get(COOKIE))
        scope.setdefault("state", {}).update(session=session, known=known)

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.append("set-cookie", self._cookie(session))
            await send(message)

        await self.app(scope, receive, send_with_cookie if due else send)

    def _session(self, token: str | None) -> tuple[Session, bool, bool]:
        """Return a visitor's session, whether they brought it along, and whether to issue it."""
        if token is not None:
            with suppress(SessionError):
                return self.sessions.verify(token), True, self.sessions.is_due(token)
        return Session.new(), False, True

    def _cookie(self, session: Session) -> str:
        token, max_age = self.sessions.issue(session), self.sessions.max_age
        cookie = f"{COOKIE}={token}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax"
        # Not in development: Safari drops Secure cookies of http://localhost.
        return f"{cookie}; Secure" if self.secure else cookie


def is_known(request: Request) -> bool:
    """Whether the visitor brought a session along.

    Browsers do not send its cookie with another site's form (SameSite=Lax): a page that changes
    something refuses who is not known, and so what other sites try in their visitors' names.
    """
    known: bool = request.state.known
    return known


def visitor(request: Request) -> Session:
    """Return the session of whoever asked for this page."""
    session: Session = request.state.session
    return session
