"""Cross-site request forgery: only the site's own pages may send requests that change data."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from functions.web.errors import error_response

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, section 9.2.1: they change nothing

_FOREIGN = (
    "This request does not seem to come from a page of this site, so nothing was changed. Open the "
    "page on this site, and send it from there. If that does not help, please update your browser."
)
_UNKNOWN = (
    "You had no session yet, so nothing was changed. Now you have one: please go back and send it "
    "again."
)


class SameOrigin:
    """ASGI middleware that refuses an unsafe method unless a page of this site sent the request.

    Browsers report the sender in Sec-Fetch-Site, which no page can set. It must be the site itself
    or the user (an address typed in, say), and not another host of the same domain. Browsers from
    before 2023 send Origin instead, which must name the requested host: X-Forwarded-Host if a proxy
    sets it, else Host. (Another site's page can forge neither without a preflight, which is refused
    here.) A request with neither does not come from a current browser. It must have the session
    cookie, which browsers leave out of another site's form (SameSite=Lax).

    Requests that match no route are let through, to get a 404 or 405.
    """

    def __init__(self, app: ASGIApp, *, routes: Sequence[BaseRoute]) -> None:
        self.app = app
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app
        if scope["method"] not in _SAFE and self._is_taken(scope) and (why := _problem(scope)):
            app = await error_response(Request(scope), HTTPException(403, why))
        await app(scope, receive, send)

    def _is_taken(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is Match.FULL for route in self.routes)


def _problem(scope: Scope) -> str | None:
    """Return why a request is refused, as a message for its sender; None if it is not."""
    headers = Headers(scope=scope)
    if sites := headers.getlist("sec-fetch-site"):
        return None if {*sites} <= {"same-origin", "none"} else _FOREIGN
    if origins := headers.getlist("origin"):
        own = headers.get("x-forwarded-host") or headers.get("host", "")
        return None if {*origins} <= {f"https://{own}", f"http://{own}"} else _FOREIGN
    return None if scope["state"]["known"] else _UNKNOWN
