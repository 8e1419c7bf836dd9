"""Pages of other origins cannot change anything."""

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from functions.contract.cookie import HOST_COOKIE
from functions.web import routing
from functions.web.visitor import visitor
from tests.hostile.tokens import FORGED, VALID, Build
from tests.kit.lambda_events import http_api, invoke
from tests.small_app import pages

OWN = "https://abc123.execute-api.eu-west-1.amazonaws.com"  # the host that events are for


ASKED = [
    ({"sec_fetch_site": "same-origin"}, 200),
    ({"sec_fetch_site": "none"}, 200),
    ({"sec_fetch_site": "same-origin", "origin": "https://evil.example"}, 200),
    ({"sec_fetch_site": "same-site"}, 403),
    ({"sec_fetch_site": "cross-site"}, 403),
    ({"sec_fetch_site": "same-site", "origin": OWN}, 403),
    ({"sec_fetch_site": "same-origin, cross-site"}, 403),
    ({"sec_fetch_site": "SAME-ORIGIN"}, 403),
    ({"sec_fetch_site": ""}, 403),
    ({"origin": OWN}, 200),
    ({"origin": "https://public.example", "x_forwarded_host": "public.example"}, 200),
    ({"origin": OWN, "x_forwarded_host": "public.example"}, 403),
    ({"origin": "https://sibling.eu-west-1.amazonaws.com"}, 403),
    ({"origin": f"{OWN}:444"}, 403),
    ({"origin": f"{OWN}/"}, 403),
    ({"origin": f"{OWN}.evil.example"}, 403),
    ({"origin": "null"}, 403),
    ({"origin": ""}, 403),
    ({}, 200),  # with the session cookie
]


@pytest.fixture
def changed(build: Build, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The methods with which a page that accepts all methods has been called."""
    done: list[str] = []

    async def change(request: Any) -> PlainTextResponse:
        done.append(request.method)
        return PlainTextResponse("done")

    unsafe = ["POST", "PUT", "PATCH", "DELETE"]
    monkeypatch.setattr(pages, "routes", [Route("/change", change, methods=unsafe)])
    build()
    return done


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(("headers", "status"), ASKED)
def test_other_origins_change_nothing(
    headers: dict[str, str], status: int, method: str, changed: list[str]
) -> None:
    """Unsafe methods from another origin's page are refused with a reason."""
    cookie = f"{HOST_COOKIE}={VALID}"
    answer = invoke(http_api("/change", method=method, cookie=cookie, **headers))
    assert answer["statusCode"] == status
    assert changed == ([method] if status == 200 else [])
    if status == 403:
        assert "Open the page on this site, and send it from there." in answer["body"]


@pytest.mark.parametrize("path", ["/change", "/nope"])
@pytest.mark.parametrize("cookie", ["", f"{HOST_COOKIE}={VALID}"], ids=["none", "valid"])
def test_no_other_site_signs_anybody_out(path: str, cookie: str, changed: list[str]) -> None:
    """Browsers send another site's form without the cookie: the response must not replace it."""
    answer = invoke(http_api(path, method="POST", cookie=cookie, sec_fetch_site="cross-site"))
    assert not answer.get("cookies")
    assert not changed


@pytest.mark.parametrize(
    ("headers", "acts"),
    [
        ({}, False),
        ({"origin": "https://evil.example"}, False),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": "same-site", "cookie": f"{HOST_COOKIE}={VALID}"}, False),
        ({"sec_fetch_site": "same-origin", "cookie": f"{HOST_COOKIE}={VALID}"}, True),
    ],
)
@pytest.mark.parametrize("mounted", [False, True])
def test_route_for_any_origin(
    headers: dict[str, str],
    acts: bool,
    mounted: bool,
    build: Build,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A route may take what other programs send, but none of them acts as the visitor."""
    visitors: list[str] = []

    async def paid(request: Request) -> PlainTextResponse:
        visitors.append(visitor(request).id)
        return PlainTextResponse("done")

    routes = [
        routing.Route("/paid", paid, methods=["POST"], same_origin=False),
        routing.Route("/refund", paid, methods=["POST"]),
    ]
    monkeypatch.setattr(pages, "routes", [routing.Mount("/hooks", routes=routes), *routes])
    build()
    hooks = "/hooks" if mounted else ""
    assert invoke(http_api(f"{hooks}/paid", method="POST", **headers))["statusCode"] == 200
    assert (visitors == ["ann"]) == acts
    status = invoke(http_api(f"{hooks}/refund", method="POST", **headers))["statusCode"]
    assert status == (200 if acts else 403)


@pytest.mark.parametrize("cookie", ["", f"{HOST_COOKIE}={FORGED}"], ids=["none", "forged"])
def test_session_is_required_without_an_origin(cookie: str, changed: list[str]) -> None:
    """Without both headers, as from old browsers, the session cookie is required."""
    answer = invoke(http_api("/change", method="POST", cookie=cookie))
    assert (answer["statusCode"], changed) == (403, [])
    assert "please go back and send it again" in answer["body"]
    assert answer["cookies"][0].startswith(HOST_COOKIE)


@pytest.mark.parametrize(("path", "status"), [("/change", 405), ("/nope", 404)])
def test_requests_without_a_route(path: str, status: int, changed: list[str]) -> None:
    """Safe methods are allowed, and requests without a route get their usual errors."""
    method = "GET" if path == "/change" else "POST"
    answer = invoke(http_api(path, method=method, sec_fetch_site="cross-site"))
    assert (answer["statusCode"], changed) == (status, [])
