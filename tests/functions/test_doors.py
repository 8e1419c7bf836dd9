"""A page gets the same request, whichever service invokes the function."""

import json
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from functions.contract.session import COOKIE
from tests.functions.answering import site
from tests.kit.lambda_events import FRONT_DOORS, headers_of, load_balancer


async def seen(request: Request) -> Response:
    """Return what a page sees of a request."""
    body = await request.body()
    return JSONResponse(
        {
            "path": request.scope["path"],
            "query": list(request.query_params.multi_items()),
            "cookies": request.cookies,
            "accept": request.headers.getlist("accept-language"),
            "body": body.decode("latin-1"),
            "from": request.client.host if request.client else None,
            "scheme": request.url.scheme,
        }
    )


@pytest.mark.parametrize("door", FRONT_DOORS)
@pytest.mark.parametrize(
    ("path", "decoded"),
    [("/a", "/a"), ("/caf%C3%A9%20b", "/café b"), ("/a%2541", "/a%41"), ("/%FFa", "/\ufffda")],
)
def test_same_request(path: str, decoded: str, door: Any) -> None:
    """The path, query, cookies, headers, body and client address arrive as they were sent."""
    answer = site(Route("/{rest:path}", seen, methods=["POST"]))(
        path,
        "a=%2F%26&b=&c=%C3%A9+1&d%20=%00",
        body=b"\xff\0{}",
        door=door,
        method="POST",
        cookie="one=1; two=2",
        accept_language="de, en;q=0.5",
        sec_fetch_site="same-origin",
    )
    assert json.loads(answer["body"]) == {
        "path": decoded,
        "query": [["a", "/&"], ["b", ""], ["c", "é 1"], ["d ", "\0"]],
        "cookies": {"one": "1", "two": "2"},
        "accept": ["de, en;q=0.5"],
        "body": "ÿ\0{}",
        "from": "192.0.2.7",
        "scheme": "https",
    }


@pytest.mark.parametrize("door", [door for door in FRONT_DOORS if door is not load_balancer])
def test_repeated_names_in_a_query(door: Any) -> None:
    """Every value of a name arrives. (A load balancer's event has only the last one.)"""
    answer = site(Route("/", seen))("/", "a=1&a=2&a=2", door=door)
    assert json.loads(answer["body"])["query"] == [["a", "1"], ["a", "2"], ["a", "2"]]


@pytest.mark.parametrize("door", FRONT_DOORS)
def test_bytes_and_several_cookies_in_an_answer(door: Any) -> None:
    """A binary body is sent as base64, and each cookie in a header of its own."""

    async def page(request: Request) -> Response:
        response = Response(b"\xff\0")
        for name in ("one", "two", "three"):
            response.set_cookie(name, "1")
        return response

    answer = site(Route("/", page))("/", door=door)
    headers = headers_of(answer)
    assert (answer["statusCode"], answer["body"], answer["isBase64Encoded"]) == (200, "/wA=", True)
    assert headers["content-type"] == ["application/octet-stream"]
    names = [cookie.partition("=")[0] for cookie in headers["set-cookie"]]
    assert sorted(names) == sorted([COOKIE, "one", "three", "two"])
