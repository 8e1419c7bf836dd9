"""Cross-site request forgery: only the site's own pages may send requests that change data."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from functions.web.errors import error_response
from functions.web.sender import SAFE

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

    A request that does not name its sender does not come from a current browser, and must have
    the session cookie, which browsers leave out of another site's form (SameSite=Lax).

    Requests for a route with `same_origin=False` are let through, and so are those that match no
    route, to get a 404 or 405.
    """

    def __init__(self, app: ASGIApp, *, routes: Sequence[BaseRoute]) -> None:
        self.app = app
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app
        if (why := _problem(scope)) and self._is_protected(scope):
            app = await error_response(Request(scope), HTTPException(403, why))
        await app(scope, receive, send)

    def _is_protected(self, scope: Scope) -> bool:
        found = _match(self.routes, scope)
        return found is not None and not _is_open(*found)


def _match(routes: Sequence[BaseRoute], scope: Scope) -> tuple[BaseRoute, Scope] | None:
    """Return the route that takes a request, and the scope for the routes within it."""
    for route in routes:
        match, child = route.matches(scope)
        if match is Match.FULL:
            return route, {**scope, **child}
    return None


def _is_open(route: BaseRoute, scope: Scope) -> bool:
    """Whether a route, or the one within it that takes the request, has `same_origin=False`."""
    if not getattr(route, "same_origin", True):
        return True
    found = _match(getattr(route, "routes", None) or (), scope)
    return found is not None and _is_open(*found)


def _problem(scope: Scope) -> str | None:
    """Return why a request is refused, as a message for its sender; None if it is not."""
    if scope["method"] in SAFE:
        return None
    if scope["state"]["foreign"]:
        return _FOREIGN
    headers = Headers(scope=scope)
    named = "sec-fetch-site" in headers or "origin" in headers
    return None if named or scope["state"]["known"] else _UNKNOWN
