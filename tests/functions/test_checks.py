"""A mistake in the pages' declarations is reported in one sentence at the start."""

from types import SimpleNamespace
from typing import Any

import pytest
from starlette.routing import Mount, Route, WebSocketRoute

from functions.app import create_app
from functions.contract.setting import StartError
from functions.web.checks import check_pages
from functions.web.settings import Settings
from tests.kit.hosts import SECRET


def front(request: Any) -> None: ...


def start(app: Any) -> None: ...


async def waits(app: Any) -> None: ...


def takes_nothing() -> None: ...


def opens_no_store(app: Any) -> None:
    app.state.ended_sessions = {}


def adds_a_route(app: Any) -> None:
    app.mount("/admin", front)


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
        ({"start": adds_a_route}, "`start` must not add Mount.*/admin.* Put it into `routes`"),
        ({"routes": [Mount("/static", front)]}, "the route /static gets no requests"),
        ({"routes": [Route("/static/a.txt", front)]}, "the route /static/a.txt gets no requests"),
        (
            {"routes": [Mount("/", routes=[Mount("/static/files", routes=[])])]},
            "the route /static/files gets no requests",
        ),
        ({"routes": [WebSocketRoute("/live", front)]}, "the route /live is for websockets"),
        ({"routes": [Mount("/socket.io", front)]}, "the route /socket.io gets no requests"),
        ({"keep_slash": "/legacy/"}, "`keep_slash` must be a list of prefixes"),
    ],
)
def test_pages(changed: dict[str, Any], words: str) -> None:
    """The declarations in functions/pages/__init__.py are checked."""
    declared: dict[str, Any] = {"routes": [], "start": start, "__path__": ["none"]} | changed
    with pytest.raises(StartError, match=rf"functions/pages/__init__.py: .*{words}"):
        create_app(Settings(SECRET, development=True), SimpleNamespace(**declared))


def test_paths_that_only_look_taken() -> None:
    """A path that has such a prefix in its name, or somewhere else, is a page's."""
    paths = ["/static", "/statically/a", "/a/static/b", "/socket.iox/a", "/{name}/a"]
    routes = [
        *(Route(path, front) for path in paths),
        Mount("/a", routes=[Mount("/static", front)]),
    ]
    check_pages(SimpleNamespace(routes=routes, start=start), taken=["/static/", "/socket.io/"])
