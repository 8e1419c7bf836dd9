"""A mistake in the pages' declarations is reported in one sentence at the start."""

from types import SimpleNamespace
from typing import Any

import pytest
from starlette.routing import Route

from functions.app import create_app
from functions.contract.setting import StartError
from functions.web.settings import Settings
from tests.kit.hosts import SECRET


def front(request: Any) -> None: ...


def start(app: Any) -> None: ...


async def waits(app: Any) -> None: ...


def takes_nothing() -> None: ...


def opens_no_store(app: Any) -> None:
    app.state.ended_sessions = {}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"routes": None}, "`routes` must be a list"),
        ({"routes": Route("/", front)}, "`routes` must be a list"),
        ({"routes": [front]}, "`routes` must hold routes"),
        ({"routes": [("/", front)]}, "`routes` must hold routes"),
        ({"start": None}, "`start` must be a function"),
        ({"start": waits}, "`start` must be a function .* not async"),
        ({"start": takes_nothing}, "`start` must be a function"),
        ({"start": opens_no_store}, "ended_sessions needs the methods `end` and `is_ended`, and d"),
        ({"keep_slash": "/legacy/"}, "`keep_slash` must be a list of prefixes"),
    ],
)
def test_pages(changed: dict[str, Any], words: str) -> None:
    """The declarations in functions/pages/__init__.py are checked."""
    declared: dict[str, Any] = {"routes": [], "start": start, "__path__": ["none"]} | changed
    with pytest.raises(StartError, match=rf"functions/pages/__init__.py: .*{words}"):
        create_app(Settings(SECRET, development=True), SimpleNamespace(**declared))
