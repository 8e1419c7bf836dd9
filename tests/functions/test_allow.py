"""A 405's `Allow` names the methods of all routes of the path."""

import pytest
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Host, Mount, Route, Router

from tests.functions.answering import describe, site
from tests.kit.lambda_events import API


class Everything(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        return await describe(request)

    async def post(self, request: Request) -> Response:
        return await describe(request)


ALLOWED = [
    ([Route("/a", describe), Route("/a", describe, methods=["POST"])], "GET, HEAD, POST"),
    (
        [Route("/a/", describe, methods=["POST"]), Route("/a", describe, methods=["PUT"])],
        "POST, PUT",
    ),
    ([Route("/{x}", describe), Route("/a", describe, methods=["DELETE"])], "DELETE, GET, HEAD"),
    ([Mount("/", routes=[Route("/a", describe)])], "GET, HEAD"),
    (
        [
            Mount("/a", routes=[Route("/", describe)]),
            Mount("/", routes=[Route("/a", describe, methods=["POST"])]),
        ],
        "GET, HEAD, POST",
    ),
    (
        [Host(API, Router([Route("/a", describe), Route("/a", describe, methods=["POST"])]))],
        "GET, HEAD, POST",
    ),
    ([Route("/a", Everything)], "GET, HEAD, POST"),
    ([Route("/a", Everything), Route("/a", describe, methods=["DELETE"])], "GET, HEAD, POST"),
]


@pytest.mark.parametrize(("routes", "allow"), ALLOWED)
def test_allow_names_all_methods_of_a_path(routes: list[BaseRoute], allow: str) -> None:
    """A method that no route accepts is refused; `Allow` names those that some route accepts."""
    answer = site(*routes)("/a", method="PATCH", sec_fetch_site="same-origin")
    assert answer["statusCode"] == 405
    assert ", ".join(sorted(answer["headers"]["allow"].split(", "))) == allow
