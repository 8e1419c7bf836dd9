"""Checks of the pages' declarations, to report mistakes in one sentence at the start."""

import inspect
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from functions.contract.setting import StartError
from functions.web.redirects import checked_prefixes

_WHERE = "functions/pages/__init__.py:"


def check_pages(pages: Any) -> None:
    """Raise StartError if the pages' package does not declare what the function needs."""
    routes, start = getattr(pages, "routes", None), getattr(pages, "start", None)
    if not isinstance(routes, list | tuple):
        raise StartError(
            f'{_WHERE} `routes` must be a list such as [Route("/", front)], not {routes!r}.'
        )
    for route in routes:
        if not isinstance(route, BaseRoute):
            raise StartError(
                f'{_WHERE} `routes` must hold routes such as Route("/", front), not {route!r}.'
            )
    if not callable(start) or inspect.iscoroutinefunction(start) or not _takes_app(start):
        raise StartError(f"{_WHERE} `start` must be a function `def start(app)`, and not async.")
    try:
        checked_prefixes(getattr(pages, "keep_slash", ()))
    except ValueError as error:
        raise StartError(f"{_WHERE} `keep_slash` {error}.") from None


def check_started(app: Starlette) -> None:
    """Raise StartError if the store of ended sessions lacks a method."""
    store = getattr(app.state, "ended_sessions", None)
    if store is None:
        return
    if not all(callable(getattr(store, name, None)) for name in ("end", "is_ended")):
        raise StartError(
            f"{_WHERE} app.state.ended_sessions needs the methods `end` and `is_ended`, and "
            f"{type(store).__name__} lacks one."
        )


def _takes_app(start: Any) -> bool:
    try:
        inspect.signature(start).bind("app")
    except TypeError:
        return False
    return True
