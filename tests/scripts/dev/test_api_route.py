"""Routes of an HTTP API, chosen as API Gateway chooses them."""

import pytest

from scripts.commands.dev.api_route import ApiRoute, choose

ROUTES = [
    ApiRoute(*key.split(" "), key)
    for key in (
        "ANY /hooks/{proxy+}",
        "GET /hooks/{id}",
        "POST /hooks/{id}",
        "ANY /hooks/{id}/tries",
        "GET /hooks/all",
        "ANY /ping",
    )
]


@pytest.mark.parametrize(
    ("request_line", "key", "variables"),
    [
        ("GET /hooks/7", "GET /hooks/{id}", {"id": "7"}),
        ("POST /hooks/a%2Fb", "POST /hooks/{id}", {"id": "a/b"}),
        ("PUT /hooks/7", "ANY /hooks/{proxy+}", {"proxy": "7"}),
        ("GET /hooks/all", "GET /hooks/all", {}),
        ("GET /hooks/7/tries", "ANY /hooks/{id}/tries", {"id": "7"}),
        ("GET /hooks/7/others/8", "ANY /hooks/{proxy+}", {"proxy": "7/others/8"}),
        ("DELETE /ping", "ANY /ping", {}),
        ("GET /hooks", None, None),
        ("GET /hooks/", None, None),
        ("GET /PING", None, None),
        ("GET /ping/", None, None),
        ("GET /", None, None),
    ],
)
def test_choice(request_line: str, key: str | None, variables: dict[str, str] | None) -> None:
    """The most specific route wins; requests without a route go to the edge's function."""
    method, path = request_line.split(" ")
    route = choose(ROUTES, method, path)
    assert (route and route.key) == key
    assert (route and route.match(method, path)) == variables
