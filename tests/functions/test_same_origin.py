"""Routes that take requests from anywhere, and what another site cannot do to a session."""

import json
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Router

from functions.contract.session import Sessions
from functions.contract.setting import StartError
from functions.web.routing import Mount, Route
from functions.web.visitor import sign_in
from tests.functions.answering import SECRET, describe, site
from tests.kit.lambda_events import API

OTHERS: list[dict[str, str]] = [
    {},  # a program
    {"sec_fetch_site": "cross-site", "origin": "https://other.example"},
    {"sec_fetch_site": "same-site", "origin": "https://sibling.example"},
    {"origin": "https://other.example"},
    {"origin": "null"},
]

POST = ["POST"]
hook = Route("/hook", describe, methods=POST, same_origin=False)
form = Route("/form", describe, methods=POST)


class Endpoint(HTTPEndpoint):
    async def post(self, request: Request) -> Response:
        return await describe(request)


@pytest.mark.parametrize("headers", OTHERS)
@pytest.mark.parametrize(
    ("route", "path"),
    [
        (hook, "/hook"),
        (Route("/hook/", Endpoint, same_origin=False), "/hook"),
        (Mount("/a", routes=[form, hook]), "/a/hook"),
        (Mount("/{x}/", routes=[Mount("/b", routes=[form, hook])]), "/a/b/hook"),
        (Mount("/a", Router([form, hook])), "/a/hook"),
        (Mount("/a", Starlette(routes=[form, hook])), "/a/hook"),
        (Host(API, Router([form, hook])), "/hook"),
        (Mount("/a", routes=[form], same_origin=False), "/a/form"),
        (Mount("/a", PlainTextResponse("hello"), same_origin=False), "/a/hook"),
    ],
    ids=range(9),
)
def test_route_that_is_open(route: BaseRoute, path: str, headers: dict[str, str]) -> None:
    """A route with `same_origin=False` accepts requests from anywhere, also within a Mount."""
    ask = site(route)
    assert ask(path, method="POST", body=b"{}", **headers)["statusCode"] == 200


@pytest.mark.parametrize("headers", OTHERS)
@pytest.mark.parametrize(
    ("route", "path"),
    [
        (Mount("/a", routes=[form, hook]), "/a/form"),
        (Mount("/a", routes=[hook]), "/a/none"),
        (Mount("/a", PlainTextResponse("hello")), "/a/hook"),
        (Mount("/a", routes=[Route("/hook", describe, methods=POST), hook]), "/a/hook"),
    ],
    ids=range(4),
)
def test_routes_beside_it(route: BaseRoute, path: str, headers: dict[str, str]) -> None:
    """It does not apply to other routes, nor to mounted apps whose routes are unknown."""
    assert site(route)(path, method="POST", body=b"{}", **headers)["statusCode"] == 403


def test_pages_of_another_origin() -> None:
    """With Starlette's CORSMiddleware, pages of another origin use an API."""
    other = {"allow_origins": ["https://other.example"], "allow_methods": POST}
    cors = Middleware(CORSMiddleware, **other)
    ask = site(Mount("/api", routes=[form], middleware=[cors], same_origin=False))
    sent = {"origin": "https://other.example", "sec_fetch_site": "cross-site"}
    asked = ask("/api/form", method="OPTIONS", access_control_request_method="POST", **sent)
    answer = ask("/api/form", method="POST", body=b"1", **sent)
    for each in (asked, answer):
        assert each["statusCode"] == 200
        assert each["headers"]["access-control-allow-origin"] == "https://other.example"
    assert json.loads(answer["body"])["body"] == "1"


@pytest.mark.parametrize("make", [Route, Mount])
def test_claim_needs_the_session(make: Any) -> None:
    """A route that must not rely on the session cannot require a claim of it."""
    with pytest.raises(StartError, match=r"/hook.*same_origin=False.*claim"):
        make("/hook", describe, claim="role=admin", same_origin=False)


FOREIGN = [headers for headers in OTHERS if headers]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("path", ["/form", "/hook"])
def test_form_of_another_site_replaces_no_session(path: str, headers: dict[str, str]) -> None:
    """Browsers send another site's form without the cookie, and would keep a new one."""
    assert "cookies" not in site(form, hook)(path, method="POST", **headers)


@pytest.mark.parametrize("headers", FOREIGN)
def test_sign_in_by_the_form_of_another_site(headers: dict[str, str]) -> None:
    """An identity provider may post its answer, and then the visitor is signed in."""

    async def enter(request: Request) -> Response:
        sign_in(request, id="ann", name="Ann")
        return PlainTextResponse("")

    ask = site(Route("/enter", enter, methods=POST, same_origin=False))
    (cookie,) = ask("/enter", method="POST", **headers)["cookies"]
    token = cookie.partition(";")[0].partition("=")[2]
    assert Sessions(SECRET).verify(token).id == "ann"
