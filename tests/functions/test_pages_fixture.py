"""The visitor of the `pages` fixture sends and keeps what a browser does."""

from typing import Any

import pytest
from mangum import Mangum
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import functions.app
from functions.web.form import read_form
from tests.functions.answering import application, describe
from tests.kit.lambda_events import function_loop
from tests.kit.pages import Visitor

BYTES = bytes(range(256))


async def fields(request: Request) -> Response:
    found = await read_form(request)
    return JSONResponse({name: found.getlist(name) for name in found})


async def echo(request: Request) -> Response:
    return Response(await request.body(), media_type="image/png")


async def theme(request: Request) -> Response:
    response = JSONResponse(request.cookies.get("theme"))
    match request.query_params.get("set"):
        case None:
            pass
        case "":
            response.delete_cookie("theme")
        case name:
            response.set_cookie("theme", name, expires="Wed, 21 Oct 2099 07:28:00 GMT")
    return response


@pytest.fixture
def visitor(monkeypatch: pytest.MonkeyPatch) -> Visitor:
    """A visitor of this test's own pages."""
    app = application(
        Route("/form", fields, methods=["POST"]),
        Route("/echo", echo, methods=["PUT"]),
        Route("/describe", describe, methods=["DELETE"]),
        Route("/theme", theme),
    )
    with function_loop():
        handler: Any = Mangum(app, lifespan="off", custom_handlers=functions.app.FRONT_DOORS)
    monkeypatch.setattr(functions.app, "handler", handler)
    return Visitor()


def test_form(visitor: Visitor) -> None:
    """A field of a form has a value, or several."""
    sent = {"name": "Zoë & co", "days": ["sat", "sun"]}
    expected = {"name": ["Zoë & co"], "days": ["sat", "sun"]}
    assert visitor.post("/form", sent).json() == expected


def test_bytes(visitor: Visitor) -> None:
    """A request and a response may be a picture."""
    answer = visitor.request("PUT", "/echo", BYTES, content_type="image/png")
    assert (answer.status, answer.content) == (200, BYTES)


def test_other_methods(visitor: Visitor) -> None:
    """A script of the site may use any method."""
    assert visitor.request("DELETE", "/describe").json()["method"] == "DELETE"
    assert visitor.request("DELETE", "/describe", sec_fetch_site="cross-site").status == 403


def test_cookies(visitor: Visitor) -> None:
    """A page sets cookies, and deletes them."""
    answers = [visitor.get(f"/theme{query}").json() for query in ("?set=dark", "", "?set=", "")]
    assert answers == [None, "dark", "dark", None]
