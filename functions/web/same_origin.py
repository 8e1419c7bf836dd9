"""Same origin: only the site's own pages may send requests that change something."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from functions.web.errors import error_response

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, section 9.2.1: they change nothing

_FOREIGN = (
    "We cannot tell that a page of this site sent this, so nothing was changed. Open the page on "
    "this site, and send it from there. If that does not help, please update your browser."
)
_UNKNOWN = (
    "We did not know you yet, so nothing was changed. Now we do: go back, and please send your "
    "message again."
)


class SameOrigin:
    """ASGI middleware that refuses an unsafe method unless a page of this site sent the request.

    Browsers report the sender in Sec-Fetch-Site, which no page can set: the site itself and the
    person at the browser pass, another host of the same domain does not. Browsers from before 2023
    send Origin instead, which must name the requested host: X-Forwarded-Host if a proxy sets it,
    else Host. (Another site's page can forge neither without a preflight, which is refused here.)
    A request with neither does not come from a current browser, and must carry the session's
    cookie, which browsers leave out of another site's form (SameSite=Lax).

    Requests that no route matches pass: they get a 404 or 405. So do requests for a route with
    `same_origin=False`: see functions/web/routing.py.
    """

    def __init__(self, app: ASGIApp, *, routes: Sequence[BaseRoute]) -> None:
        self.app = app
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app
        why = None if scope["method"] in _SAFE else _problem(scope)
        scope["state"]["from_other_site"] = why is _FOREIGN
        if why and self._is_protected(scope):
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
    """Return why a request is refused, in words for its sender; None if it is not."""
    headers = Headers(scope=scope)
    if sites := headers.getlist("sec-fetch-site"):
        return None if {*sites} <= {"same-origin", "none"} else _FOREIGN
    if origins := headers.getlist("origin"):
        own = headers.get("x-forwarded-host") or headers.get("host", "")
        return None if {*origins} <= {f"https://{own}", f"http://{own}"} else _FOREIGN
    return None if scope["state"]["known"] else _UNKNOWN
