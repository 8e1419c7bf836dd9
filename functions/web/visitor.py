"""Who asks: every page knows its visitor's session, and a new visitor gets one in a cookie."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.contract.cookie import HOST_COOKIE, read_cookie, write_cookie
from functions.contract.session import Session, SessionError, Sessions


class Visitors:
    """ASGI middleware that verifies the session cookie, or issues one, before a page runs."""

    def __init__(self, app: ASGIApp, *, sessions: Sessions, secure: bool) -> None:
        self.app = app
        self.sessions = sessions
        self.secure = secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        session, known, due = self._session("; ".join(Headers(scope=scope).getlist("cookie")))
        scope.setdefault("state", {}).update(session=session, known=known)

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                token, max_age = self.sessions.issue(session), self.sessions.max_age
                headers = MutableHeaders(scope=message)
                headers.append("set-cookie", write_cookie(token, max_age, secure=self.secure))
            await send(message)

        await self.app(scope, receive, send_with_cookie if due else send)

    def _session(self, header: str) -> tuple[Session, bool, bool]:
        """Return a visitor's session, whether they brought it along, and whether to issue it."""
        try:
            cookie = read_cookie(header, self.sessions)
        except SessionError:
            return Session.new(), False, True
        renamed = self.secure and cookie.name != HOST_COOKIE
        return cookie.session, True, renamed or self.sessions.is_due(cookie.token)


def visitor(request: Request) -> Session:
    """Return the session of whoever asked for this page."""
    session: Session = request.state.session
    return session
