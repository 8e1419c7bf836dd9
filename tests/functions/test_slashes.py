"""However a route is written, it has one address, and no redirect leaves the site."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Host, Mount, Route, Router
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from functions.contract.setting import StartError
from functions.web.redirects import one_address
from functions.web.site import Site
from tests.functions.answering import Ask, describe, site
from tests.kit.lambda_events import API


class Wrapped:
    """Custom middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def hidden(app: ASGIApp) -> ASGIApp:
    """An app whose routes cannot be inspected."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    return answer


class Everything(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        return await describe(request)

    async def post(self, request: Request) -> Response:
        return await describe(request)


def arrive(ask: Ask, path: str, query: str = "", **more: Any) -> dict[str, Any]:
    """Follow redirects as a browser does: at most one, which stays on the site."""
    answer = ask(path, query, **more)
    location = answer["headers"].get("location")
    if location is None:
        return answer
    assert answer["statusCode"] in (307, 308)
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))
    assert "execute-api" not in location
    path, _, query = location.partition("?")
    answer = ask(path, query, **more)
    assert "location" not in answer["headers"]
    return answer


BOTH = ["GET", "POST"]
hello = Route("/hello/", describe, methods=BOTH)
root = Route("/", describe, methods=BOTH)

SITES: dict[str, tuple[list[BaseRoute], str, dict[str, Any]]] = {
    "route": ([hello], "/hello", {}),
    "route without": ([Route("/hello", describe, methods=BOTH)], "/hello", {}),
    "endpoint class": ([Route("/hello/", Everything)], "/hello", {}),
    "parameter": ([Route("/a/{x}/", describe, methods=BOTH)], "/a/b", {"x": "b"}),
    "two parameters": (
        [Route("/a/{x:int}/b/{y}/", describe, methods=BOTH)],
        "/a/7/b/c",
        {"x": 7, "y": "c"},
    ),
    "path parameter": ([Route("/a/{x:path}/", describe, methods=BOTH)], "/a/b/c", {"x": "b/c"}),
    "empty path parameter": ([Route("/a/{x:path}", describe, methods=BOTH)], "/a", {"x": ""}),
    "mount": ([Mount("/shop", routes=[hello])], "/shop/hello", {}),
    "mount with a slash": ([Mount("/shop/", routes=[hello])], "/shop/hello", {}),
    "root of a mount": ([Mount("/shop", routes=[root])], "/shop", {}),
    "mount with a parameter": ([Mount("/{x}", routes=[root, hello])], "/b", {"x": "b"}),
    "mounts in mounts": (
        [Mount("/a", routes=[Mount("/{x}/", routes=[Mount("/c", routes=[root])])])],
        "/a/b/c",
        {"x": "b"},
    ),
    "mount of nothing": ([Mount("/", routes=[Mount("/a", routes=[hello])])], "/a/hello", {}),
    "router": ([Mount("/shop", Router([root, hello]))], "/shop", {}),
    "router that redirects not": (
        [Mount("/shop", Router([root, hello], redirect_slashes=False))],
        "/shop/hello",
        {},
    ),
    "application": ([Mount("/shop", Starlette(routes=[hello]))], "/shop/hello", {}),
    "middleware": (
        [Mount("/shop", routes=[root, hello], middleware=[Middleware(Wrapped)])],
        "/shop/hello",
        {},
    ),
    "root behind middleware": ([Mount("/shop", Wrapped(Wrapped(Router([root]))))], "/shop", {}),
    "hidden": ([Mount("/shop", hidden(Router([hello])))], "/shop/hello", {}),
    "hidden root": ([Mount("/shop", hidden(Router([root])))], "/shop", {}),
    "host": ([Host(API, Router([hello]))], "/hello", {}),
    "mount at a host": ([Host(API, Router([Mount("/shop", routes=[root])]))], "/shop", {}),
    "host with a parameter": (
        [Host("{x}.execute-api.eu-west-1.amazonaws.com", Router([hello]))],
        "/hello",
        {"x": "abc123"},
    ),
    "before a route that takes all": (
        [hello, Route("/{rest:path}", lambda request: PlainTextResponse("rest"))],
        "/hello",
        {},
    ),
    "before a parameter": (
        [Route("/new/", describe, methods=BOTH), Route("/{name}", Everything)],
        "/new",
        {},
    ),
    "page beside an empty path parameter": (
        [Route("/a/{x:path}", Everything), Route("/a", describe, methods=BOTH)],
        "/a",
        {},
    ),
    "parameter beside an empty path parameter": (
        [Route("/a/{x:path}", Everything), Route("/{name}", describe, methods=BOTH)],
        "/a",
        {"name": "a"},
    ),
    "mount before a route that takes all": (
        [
            Mount("/shop", routes=[root]),
            Route("/{rest:path}", lambda request: PlainTextResponse("rest")),
        ],
        "/shop",
        {},
    ),
    "beside a mount of the same name": (
        [Mount("/shop", routes=[Route("/list", describe)]), Route("/shop", describe, methods=BOTH)],
        "/shop",
        {},
    ),
    "other method in a mount of the same name": (
        [Mount("/shop", routes=[Route("/", describe)]), Route("/shop", describe, methods=["POST"])],
        "/shop",
        {},
    ),
}


@pytest.mark.parametrize("method", BOTH)
@pytest.mark.parametrize("spelled", ["", "/", "//"], ids=["bare", "slash", "slashes"])
@pytest.mark.parametrize("name", SITES)
def test_route_answers(name: str, spelled: str, method: str) -> None:
    """A route can be reached by any spelling, and gets its canonical address and the body."""
    routes, path, params = SITES[name]
    body = "a=1" if method == "POST" else ""
    asked: dict[str, Any] = {"method": method, "sec_fetch_site": "same-origin"}
    asked["body"] = body.encode()
    ask = site(*routes)
    direct = ask(path, "a=%2F", **asked)
    assert direct["statusCode"] == 200, direct
    answer = arrive(ask, path + spelled, "a=%2F", **asked)
    assert answer["statusCode"] == 200
    for part in (f'"query":"a=%2F","method":"{method}","body":"{body}"', f'"path":"{path}'):
        assert part in answer["body"]
    for key, value in params.items():
        assert f'"{key}":{value}' in answer["body"].replace(f'"{value}"', str(value))


def test_folders_of_static_files(tmp_path: Any) -> None:
    """A folder's index is served at the address without a slash, unlike in StaticFiles."""
    (tmp_path / "guide").mkdir()
    for folder in (tmp_path, tmp_path / "guide"):
        (folder / "index.html").write_text(f"index of {folder.name}")
    (tmp_path / "a.txt").write_text("a file")
    ask = site(Mount("/docs", StaticFiles(directory=tmp_path, html=True)))
    for path, words in {
        "/docs": f"index of {tmp_path.name}",
        "/docs/guide": "index of guide",
        "/docs/a.txt": "a file",
    }.items():
        for spelled in (path, f"{path}/"):
            answer = arrive(ask, spelled)
            assert (answer["statusCode"], answer["body"]) == (200, words)
    assert arrive(ask, "/docs/none/")["statusCode"] == 404


def test_addresses_of_routes() -> None:
    """The addresses returned by `url_for` are not redirected."""
    names = ["a", "shop:b", "shop:c", "legacy", "top"]
    found: list[str] = []

    async def links(request: Request) -> Response:
        found.extend(request.url_for(name).path for name in names)
        return PlainTextResponse("")

    site(
        Route("/", links, name="top"),
        Route("/a/", describe, name="a"),
        Mount(
            "/shop",
            name="shop",
            routes=[Route("/", describe, name="b"), Route("/c/", describe, name="c")],
        ),
        Route("/legacy/page", describe, name="legacy"),
        keep_slash=["/legacy/"],
    )("/")
    assert found == ["/a", "/shop", "/shop/c", "/legacy/page/", "/"]


def test_addresses_in_templates(tmp_path: Any) -> None:
    """`url_for` in a template returns a path, without the API's host."""
    (tmp_path / "templates").mkdir()
    page = "{{ url_for('a', x='b') }} {{ url_for('shop:c') }}"
    (tmp_path / "templates" / "links.html").write_text(page)

    async def links(request: Request) -> Response:
        return Site.of(request).page(request, "links.html")

    ask = site(
        Route("/", links),
        Route("/a/{x}/", describe, name="a"),
        Mount("/shop", name="shop", routes=[Route("/", describe, name="c")]),
        __path__=[str(tmp_path)],
    )
    assert ask("/")["body"] == "/a/b /shop"


@pytest.mark.parametrize("where", ["lost/", "./lost/", "../a/lost/", "?", "/a/lost/", "lost//"])
def test_relative_redirects(where: str) -> None:
    """A relative redirect is resolved as in browsers."""

    async def lost(request: Request) -> Response:
        if request.url.path == "/a/lost":
            return RedirectResponse(where)
        return await describe(request)

    answer = site(Route("/{rest:path}", lost))("/a/lost")
    assert (answer["statusCode"] == 200) is where.endswith("/")


async def home(request: Request) -> Response:
    return RedirectResponse(request.url_for("describe"))


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (f"https://{API}/a", "/a"),
        (f"https://{API.upper()}/a?b=1#c", "/a?b=1#c"),
        (f"https://{API}", "/"),
        (f"https://{API}//evil.example/", "/evil.example/"),
        (f"https://{API}:443/a", "/a"),
        (f"https://{API}:8443/a", f"https://{API}:8443/a"),
        (f"//{API}/a", "/a"),
        (f"//{API}//evil.example/", "/evil.example/"),
        ("//elsewhere.example/a", "//elsewhere.example/a"),
        (f"https://{API}/\\evil.example/", None),
        ("https://elsewhere.example/a", "https://elsewhere.example/a"),
        (f"https://{API}.evil.example/", f"https://{API}.evil.example/"),
        (f"http://{API}/a", f"http://{API}/a"),
        ("relative", "relative"),
        ("https://[broken", "https://[broken"),
    ],
)
def test_redirects_of_pages(where: str, expected: str | None) -> None:
    """A redirect to the API's host becomes a path on this site; all others are unchanged."""

    async def lead(request: Request) -> Response:
        return RedirectResponse(where, 303)

    found = site(Route("/from", lead))("/from")["headers"]["location"]
    if expected is None:
        assert found.startswith("/")
        assert found[1] not in "/\\"
    else:
        assert found == expected


def test_redirect_to_a_named_route() -> None:
    """A page may redirect to a named route, as in Starlette's documentation."""
    answer = site(Route("/", home), Route("/describe/", describe, name="describe"))("/")
    assert answer["headers"]["location"] == "/describe"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_to_oneself_ends(status: int) -> None:
    """A page that always redirects to its address with a slash is called only once more."""
    asked = 0

    async def lost(request: Request) -> Response:
        nonlocal asked
        asked += 1
        return RedirectResponse(f"{request.url.path}/", status)

    site(Route("/{rest:path}", lost))("/lost")
    assert asked == 2


KEPT = [
    ("/legacy", "/legacy/"),
    ("/legacy//", "/legacy/"),
    ("/legacy/page", "/legacy/page/"),
    ("/legacy/page//", "/legacy/page/"),
    ("//legacy", "/legacy/"),
    ("/legacy/", None),
    ("/legacy/page/", None),
    ("/legacy/style.css", None),
    ("/legacyx/", "/legacyx"),
    ("/LEGACY/", "/LEGACY"),
    ("/page/", "/page"),
    ("/page", None),
    ("/", None),
]


@pytest.mark.parametrize(("path", "expected"), KEPT)
@pytest.mark.parametrize("method", BOTH)
def test_prefix_that_keeps_its_slash(path: str, expected: str | None, method: str) -> None:
    """Below it every page has a trailing slash, and requests without are redirected once."""
    ask = site(Route("/{rest:path}", describe, methods=BOTH), keep_slash=["/legacy/"])
    asked = {"method": method, "sec_fetch_site": "same-origin"}
    answer = ask(path, "a=%2F", **asked)
    assert answer["headers"].get("location") == (expected and f"{expected}?a=%2F")
    assert answer["statusCode"] == (308 if expected else 200)
    assert arrive(ask, path, **asked)["statusCode"] == 200


@pytest.mark.parametrize(
    "route",
    [
        Route("/legacy/page/", describe),
        Route("/legacy/page", describe),
        Mount("/legacy", routes=[Route("/page/", describe)]),
        Mount("/legacy", routes=[Route("/page", describe)]),
        Mount("/legacy", routes=[Mount("/page", routes=[Route("/", describe)])]),
        Mount("/legacy", hidden(Router([Route("/page", describe)]))),
        Route("/legacy/{name}", describe),
    ],
    ids=range(7),
)
def test_routes_below_such_a_prefix(route: BaseRoute) -> None:
    """However they are written, they are served at the address with the slash."""
    ask = site(route, keep_slash=["/legacy/"])
    for path in ("/legacy/page", "/legacy/page/"):
        answer = arrive(ask, path)
        assert answer["statusCode"] == 200
        assert '"path":"/legacy/page' in answer["body"]


def test_every_page_may_keep_its_slash() -> None:
    """With the prefix `/` all do, except for files, the front page and sockets."""
    ask = site(Route("/{rest:path}", describe), keep_slash=["/"])
    assert ask("/a")["headers"]["location"] == "/a/"
    for path in ("/", "/a/", "/a.txt", "/socket.io", "/socket.io/", "/static/dot.svg"):
        assert "location" not in ask(path)["headers"]


_words = ["/", "//", "\\", ".", "..", "legacy", "legacy/", "/legacy/", "a.b", "evil.example", "%2F"]


@settings(max_examples=300, deadline=None)
@given(
    path=st.lists(st.sampled_from(_words) | st.text(max_size=2), max_size=7).map(
        lambda words: "/" + "".join(words)
    ),
    keep=st.sampled_from([(), ("/legacy/",), ("/",), ("/legacy/a/", "/b/")]),
)
def test_any_path_has_one_address(path: str, keep: tuple[str, ...]) -> None:
    """Any path takes at most one redirect, on this site, whatever the prefixes."""
    address = one_address(path, keep)
    assert one_address(address, keep) == address
    if address != path:
        assert address.startswith("/")
        assert address[1:2] not in ("/", "\\")


@pytest.mark.parametrize(
    "wrong", ["/legacy/", ["/legacy"], ["legacy/"], [""], ["//a/"], ["/a/../"], [7]]
)
def test_wrong_prefix(wrong: Any) -> None:
    """An invalid prefix is an error at the start that shows a valid one."""
    with pytest.raises(StartError, match=r"keep_slash.* such as \['/legacy/'\]"):
        site(keep_slash=wrong)
