"""Routes: with or without a trailing slash, and optionally for visitors with a claim."""

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

from starlette import routing
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import BaseRoute, Host, Match, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from functions.contract.setting import StartError
from functions.web.redirects import one_address
from functions.web.visitor import visitor

_NOT_YOURS = "You do not have access. If you have another account, sign in with it."


class Route(routing.Route):
    """Starlette's Route, with two more arguments.

    `claim` is what the visitor must have: see `Session.has`. With `same_origin=False`, requests
    that change data may come from anywhere, as a webhook's do. The endpoint must check who sent
    them, for example by a signature; if another site's page did, they have no session.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        methods: Collection[str] | None = None,
        name: str | None = None,
        include_in_schema: bool = True,
        middleware: Sequence[Middleware] = (),
        max_body_size: int | None = None,
        claim: str | None = None,
        same_origin: bool = True,
    ) -> None:
        super().__init__(
            path,
            endpoint,
            methods=methods,
            name=name,
            include_in_schema=include_in_schema,
            middleware=_asking(claim, path, middleware, same_origin),
            max_body_size=max_body_size,
        )
        self.same_origin = same_origin


class Mount(routing.Mount):
    """Starlette's Mount, with the `claim` and `same_origin` of Route for everything in it."""

    def __init__(
        self,
        path: str,
        app: ASGIApp | None = None,
        routes: Sequence[BaseRoute] | None = None,
        name: str | None = None,
        *,
        middleware: Sequence[Middleware] = (),
        max_body_size: int | None = None,
        claim: str | None = None,
        same_origin: bool = True,
    ) -> None:
        super().__init__(
            path,
            app,
            routes,
            name,
            middleware=_asking(claim, path, middleware, same_origin),
            max_body_size=max_body_size,
        )
        self.same_origin = same_origin


def _asking(
    claim: str | None, path: str, middleware: Sequence[Middleware], same_origin: bool
) -> Sequence[Middleware]:
    if claim is None:
        return middleware
    if not isinstance(claim, str) or not claim.strip():
        raise StartError(
            f"The route {path}: a claim must be a name, or a name and value like 'role=editor', "
            f"not {claim!r}."
        )
    if not same_origin:
        raise StartError(
            f"The route {path}: with same_origin=False it must not rely on the session, so it "
            "cannot have a claim."
        )
    return [Middleware(ClaimRequired, claim=claim), *middleware]


class ClaimRequired:
    """ASGI middleware that answers 403 to visitors whose session does not have a claim."""

    def __init__(self, app: ASGIApp, *, claim: str) -> None:
        self.app = app
        self.claim = claim

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not visitor(Request(scope)).has(self.claim):
            raise HTTPException(403, _NOT_YOURS)
        await self.app(scope, receive, send)


def accept_either_spelling(app: Any, keep: Sequence[str] = (), prefix: str = "") -> None:
    """Make every route of an app match with and without a trailing slash.

    `url_for` returns the address that is not redirected. `keep` is as in DropTrailingSlashes, and
    `prefix` is where the app is mounted.
    """
    router = _router(app)
    if router is None:
        return
    router.redirect_slashes = True  # for mounts of other apps; followed by LocalRedirects
    for route in router.routes:
        if isinstance(route, routing.Mount):
            accept_either_spelling(route.app, keep, prefix + route.path)
            _match_at_its_root(route)
        elif isinstance(route, Host):
            accept_either_spelling(route.app, keep, prefix)
        elif isinstance(route, routing.Route):
            pattern = route.path_regex.pattern.removesuffix("/?$").removesuffix("$").rstrip("/")
            route.path_regex = re.compile(f"{pattern}/?$")
            route.path_format = one_address(prefix + route.path_format, keep)[len(prefix) :]


def allowed_methods(app: Any, scope: Scope) -> set[str] | None:
    """Return the methods that a path's routes allow; None if one of them matches fully."""
    methods: set[str] = set()
    router = _router(app)
    for route in router.routes if router else ():
        match, child = route.matches(scope)
        if isinstance(route, routing.Mount | Host) and match is not Match.NONE:
            inner = allowed_methods(route.app, {**scope, **child})
            if inner is None:
                return None
            methods |= inner
        elif match is Match.FULL:
            return None
        elif match is Match.PARTIAL:
            methods |= getattr(route, "methods", None) or set()
    return methods


def _router(app: Any) -> Router | None:
    """Return the router of an app, within any middleware; None if it has none."""
    while not isinstance(app, Router):
        app = getattr(app, "router", None) or getattr(app, "app", None)
        if app is None:
            return None
    return app


def _match_at_its_root(mount: routing.Mount) -> None:
    """Make a mount at `/shop` match `/shop` too, if one of its routes is there."""
    kind, router = type(mount), _router(mount.app)
    if router is None:
        return

    def matches(scope: Scope) -> tuple[Match, Scope]:
        match, child = kind.matches(mount, scope)
        if match is not Match.NONE or scope["path"].endswith("/"):
            return match, child
        match, child = kind.matches(mount, {**scope, "path": scope["path"] + "/"})
        if match is not Match.NONE:
            inner = {**scope, **child}
            best = max((route.matches(inner)[0].value for route in router.routes), default=0)
            match = Match(best)
        return match, child

    mount.matches = matches  # type: ignore[method-assign]  # on this instance only
