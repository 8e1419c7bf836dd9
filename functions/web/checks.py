"""Checks of the pages' declarations, to report mistakes in one sentence at the start."""

import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, WebSocketRoute

from functions.contract.setting import StartError
from functions.web.redirects import checked_prefixes

_WHERE = "functions/pages/__init__.py:"


def check_pages(pages: Any, taken: Sequence[str] = ()) -> None:
    """Raise StartError if the pages' package does not declare what the function needs.

    `taken` are the prefixes whose requests no page gets, such as `/static/`.
    """
    routes, start = getattr(pages, "routes", None), getattr(pages, "start", None)
    if not isinstance(routes, list | tuple):
        raise StartError(
            f'{_WHERE} `routes` must be a list such as [Route("/", front)], not {routes!r}.'
        )
    _check_routes(routes, taken)
    if not callable(start) or inspect.iscoroutinefunction(start) or not _takes_app(start):
        raise StartError(f"{_WHERE} `start` must be a function `def start(app)`, and not async.")
    try:
        checked_prefixes(getattr(pages, "keep_slash", ()))
    except ValueError as error:
        raise StartError(f"{_WHERE} `keep_slash` {error}.") from None


def check_started(app: Starlette, routes: Sequence[BaseRoute]) -> None:
    """Raise StartError if `start` added to the app's routes, or its store lacks a method."""
    for route in app.router.routes:
        if not any(route is each for each in routes):
            raise StartError(
                f"{_WHERE} `start` must not add {route!r} to the app, where pages have no session "
                "and accept forms of other sites. Put it into `routes`."
            )
    store = getattr(app.state, "ended_sessions", None)
    if store is None:
        return
    if not all(callable(getattr(store, name, None)) for name in ("end", "is_ended")):
        raise StartError(
            f"{_WHERE} app.state.ended_sessions needs the methods `end` and `is_ended`, and "
            f"{type(store).__name__} lacks one."
        )


def _check_routes(routes: Sequence[Any], taken: Sequence[str]) -> None:
    for route in routes:
        if not isinstance(route, BaseRoute):
            raise StartError(
                f'{_WHERE} `routes` must hold routes such as Route("/", front), not {route!r}.'
            )
        if isinstance(route, WebSocketRoute):
            raise StartError(
                f"{_WHERE} the route {route.path} is for websockets, which a function cannot hold. "
                "Write a namespace in socket_host/events."
            )
    for path, prefix in _hidden(routes, taken):
        raise StartError(
            f"{_WHERE} the route {path} gets no requests, because all below {prefix} go elsewhere. "
            "Static files belong in functions/pages/static, and events in socket_host/events."
        )


def _hidden(
    routes: Iterable[BaseRoute], taken: Sequence[str], parent: str = ""
) -> Iterator[tuple[str, str]]:
    """Yield the paths of routes below a prefix that is taken, and the prefix."""
    for route in routes:
        path = parent + getattr(route, "path", "")
        below = f"{path}/" if isinstance(route, Mount) else path
        yield from ((path, prefix) for prefix in taken if below.startswith(prefix))
        yield from _hidden(getattr(route, "routes", None) or (), taken, path)


def _takes_app(start: Any) -> bool:
    try:
        inspect.signature(start).bind("app")
    except TypeError:
        return False
    return True
