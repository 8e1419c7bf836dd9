"""A redirect to the same page with a slash is followed in the function, and no other one is."""

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from functions.web.visitor import sign_in, visitor
from tests.functions.answering import site


async def enter(request: Request) -> Response:
    """Sign in a visitor with a token, then show the page without it."""
    if "token" in request.query_params:
        sign_in(request, id="ann", name="Ann")
        response = RedirectResponse("/enter/", 302)
        response.set_cookie("theme", "dark")
        return response
    return PlainTextResponse(visitor(request).id)


def test_redirect_that_drops_the_query() -> None:
    """A page that uses up a token and redirects to itself sets its cookies."""
    ask = site(Route("/enter/", enter))
    answer = ask("/enter", "token=1")
    assert (answer["statusCode"], answer["headers"]["location"]) == (302, "/enter/")
    session, theme = sorted(answer["cookies"])
    assert theme.startswith("theme=dark")
    cookie = session.partition(";")[0]
    assert ask("/enter", cookie=cookie)["body"] == "ann"


@pytest.mark.parametrize("where", ["/page/#part", "/page/?a=2", "/page/?"])
def test_redirect_that_changes_more_than_the_slash(where: str) -> None:
    """A redirect with another query or a fragment is sent to the browser."""

    async def page(request: Request) -> Response:
        return RedirectResponse(where)

    assert site(Route("/page", page))("/page", "a=1")["headers"]["location"] == where


@pytest.mark.parametrize("query", ["", "a=1&a=%2F", "q={a|b}^`", 'q="<>"', "q=%E9%zz"])
def test_query_of_a_folder(query: str, tmp_path: Any) -> None:
    """A folder's index is found with any query, although Starlette escapes more than browsers."""
    (tmp_path / "guide").mkdir()
    (tmp_path / "guide" / "index.html").write_text("the guide")
    ask = site(Mount("/docs", StaticFiles(directory=tmp_path, html=True)))
    answer = ask("/docs/guide", query)
    assert (answer["statusCode"], answer["body"]) == (200, "the guide")


def test_files_at_the_root(tmp_path: Any) -> None:
    """A folder that is mounted last has what no route has, and everything else is a 404."""
    for name in ("root/robots.txt", "well-known/security.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(name)

    async def page(request: Request) -> Response:
        return PlainTextResponse("a page")

    ask = site(
        Route("/page", page),
        Mount("/.well-known", StaticFiles(directory=tmp_path / "well-known")),
        Mount("", StaticFiles(directory=tmp_path / "root")),
    )
    assert ask("/robots.txt")["body"] == "root/robots.txt"
    assert ask("/.well-known/security.txt")["body"] == "well-known/security.txt"
    assert ask("/page")["body"] == "a page"
    for path in ("/", "/none", "/.well-known", "/robots.txt/x"):
        assert "There is no such page" in ask(path)["body"]
