"""Responses from something in front of the site are recognized: a login, a firewall, https."""

from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from functions.contract.session import COOKIE, SAMPLE_SECRET, Session, Sessions
from scripts.commands.dev.origin_request import OriginRequest
from scripts.commands.dev.template import FUNCTION, SOCKET_HOST
from scripts.commands.doctor.checks import PAGES, REDIRECTS, SOCKETS
from scripts.commands.doctor.finding import SKIPPED
from scripts.commands.doctor.reach import UnreachableError, reach
from tests.scripts.dev.edges import RunningEdge
from tests.scripts.doctor.command import doctor
from tests.scripts.doctor.findings import examined
from tests.scripts.doctor.sites import Result, answering, site

WAF = (
    "<HTML><BODY><H1>403 ERROR</H1>The request could not be satisfied. Request blocked. We can't "
    "connect to the server for this app or website at this time.</BODY></HTML>"
)

Answers = Callable[[], web.Response]


class Guard:
    """An origin that answers some requests itself, and passes on the others."""

    def __init__(self, edge: RunningEdge, name: str, answer: Answers, *methods: str) -> None:
        self._origin = edge.origins[name]
        self.sockets = self._origin.sockets
        self._answer = answer
        self._methods = methods

    async def answer(self, viewer: web.BaseRequest, request: OriginRequest) -> web.StreamResponse:
        if not self._methods or request.method in self._methods:
            return self._answer()
        return await self._origin.answer(viewer, request)


def guard(edge: RunningEdge, name: str, answer: Answers, *methods: str) -> None:
    """Put a guard in front of one of a site's origins."""
    edge.edge._origins = {**edge.origins, name: Guard(edge, name, answer, *methods)}


def refusal(status: int, text: str = "", **headers: str) -> Answers:
    return lambda: web.Response(status=status, text=text, headers=headers)


BLAMED = ("TargetOriginId", "lacks the behaviour", "AllowedMethods", "function answered instead")

GUARDS = [
    (
        refusal(401, "Who are you?", **{"WWW-Authenticate": "Basic"}),
        "a password or a login is required",
    ),
    (refusal(403, WAF), "a firewall blocks this request"),
    (refusal(403, "{}", **{"x-amzn-waf-action": "block"}), "a firewall blocks this request"),
    (refusal(403, "Forbidden"), "forbids it"),
    (refusal(429, "Slow down."), "too many requests came from here"),
    (refusal(302, Location="/login?next=%2F"), "it redirects to a login, '/login?next=%2F'"),
    (refusal(303, Location="https://idp.example/authorize?x"), "it redirects to a login"),
    (refusal(301, Location="https://www.site.example/socket.io/"), "it redirects to another site"),
]


@pytest.mark.parametrize(("answer", "sentence"), GUARDS)
async def test_before_the_host(tmp_path: Path, answer: Answers, sentence: str) -> None:
    """On the socket path such a response is recognized, and no behaviour is blamed."""
    async with site(tmp_path) as edge:
        guard(edge, SOCKET_HOST, answer)
        findings = await examined(edge.url, SOCKETS)
    assert {"socket", "socket-no-slash"} <= findings.failed
    for check in ("socket", "socket-no-slash"):
        assert sentence in findings.words(check)
        assert not any(words in findings.words(check) for words in BLAMED)


@pytest.mark.parametrize(("answer", "sentence"), GUARDS[:5])
async def test_before_the_websocket(tmp_path: Path, answer: Answers, sentence: str) -> None:
    """Such a response to websockets only is recognized too."""
    async with site(tmp_path) as edge:
        guard(edge, SOCKET_HOST, answer)
        host = edge.origins[SOCKET_HOST]

        async def only_websockets(
            viewer: web.BaseRequest, request: OriginRequest
        ) -> web.StreamResponse:
            return answer() if request.upgrades else await host.answer(viewer, request)

        edge.edge._origins[SOCKET_HOST].answer = only_websockets  # type: ignore[index, method-assign]
        findings = await examined(edge.url, SOCKETS)
    assert findings.failed == {"websocket"}
    words = findings.words("websocket")
    assert "instead of 101" in words
    assert "Sec-WebSocket headers" not in words


@pytest.mark.parametrize(("answer", "sentence"), [GUARDS[1], GUARDS[4]])
async def test_before_a_post(tmp_path: Path, answer: Answers, sentence: str) -> None:
    """A firewall's rule for POST is distinguished from a behaviour without POST."""
    async with site(tmp_path) as edge:
        guard(edge, SOCKET_HOST, answer, "POST")
        findings = await examined(edge.url, SOCKETS)
    assert "post" in findings.failed
    assert sentence in findings.words("post")
    assert "AllowedMethods" not in findings.words("post")


@pytest.mark.parametrize(("answer", "sentence"), GUARDS)
async def test_before_pages(tmp_path: Path, answer: Answers, sentence: str) -> None:
    """Such a response in front of pages is recognized too, and sockets are still checked."""
    async with site(tmp_path) as edge:
        guard(edge, FUNCTION, answer)
        findings = await examined(edge.url)
    assert "page" in findings.failed
    assert sentence in findings.words("page")
    assert "functions/pages/__init__.py" not in findings.words("page")
    assert not findings.failed & {"socket", "post", "websocket", "own-origin", "no-session"}
    assert "session" in findings.with_outcome(SKIPPED)


async def test_http_of_an_https_site() -> None:
    """An address that only redirects to https is reported, with the right address."""

    async def handler(request: web.Request) -> web.Response:
        host = request.host.partition(":")[0]
        return web.Response(status=301, headers={"Location": f"https://{host}{request.path}"})

    async with answering(handler) as visited:
        with pytest.raises(UnreachableError) as raised:
            await reach(visited)
    assert "redirects to https: examine https://127.0.0.1 instead." in str(raised.value)


async def test_sockets_of_an_https_site(tmp_path: Path) -> None:
    """If only the socket path redirects to https, that is reported."""
    async with site(tmp_path) as edge:
        guard(edge, SOCKET_HOST, refusal(301, Location="https://127.0.0.1/socket.io/"))
        findings = await examined(edge.url, SOCKETS)
    assert "uses https only" in findings.words("socket")
    assert "Examine https://127.0.0.1 instead" in findings.words("socket")
    assert not any(words in findings.words("socket") for words in BLAMED)


def login(path: str, result: Result) -> Result:
    """A site with a login on its front page, and on paths that it does not know."""
    if path == "/login":
        return result | {"statusCode": 200}
    if path in ("/", "/account") or result["statusCode"] == 404:
        return {"statusCode": 303, "headers": {"location": f"/login?next={path}"}}
    return result


async def test_page_without_login(tmp_path: Path) -> None:
    """With --page another page represents all, and logins on others are not failures."""
    async with site(tmp_path, change=login) as edge:
        assert (await examined(edge.url)).failed == {"page"}
        findings = await examined(edge.url, page="/about")
        status, output, _ = await doctor("--page", "/about", edge.url)
    assert findings.failed == set()
    assert "ask for a login" in findings.words("not-found")
    assert status == 0, output
    assert "/about is a page of" in output


def session() -> str:
    return Sessions(SAMPLE_SECRET).issue(Session("visitor-1", "Ann"))


@pytest.mark.parametrize("name", ["", f"{COOKIE}="])
async def test_given_session(tmp_path: Path, name: str) -> None:
    """With --session, pages and sockets are visited with that session."""
    asked: list[str] = []

    async with site(tmp_path) as edge:
        pages = edge.origins[FUNCTION]

        class Login:
            sockets = False

            async def answer(
                self, viewer: web.BaseRequest, request: OriginRequest
            ) -> web.StreamResponse:
                cookie = dict(request.headers).get("Cookie", "")
                asked.append(cookie)
                if f"{COOKIE}=" in cookie or request.path.startswith("/static/"):
                    return await pages.answer(viewer, request)
                return web.Response(status=303, headers={"Location": "/login"})

        edge.edge._origins = {**edge.origins, FUNCTION: Login()}
        findings = await examined(edge.url, session=name + session())
    assert findings.failed == set()
    assert "session-cookie" in findings.with_outcome(SKIPPED)
    assert "session" not in findings.with_outcome(SKIPPED)


async def test_session_that_is_refused(tmp_path: Path) -> None:
    """If the login refuses the session, the page still redirects to the login."""
    async with site(tmp_path, change=login) as edge:
        findings = await examined(edge.url, PAGES, session="forged")
    assert findings.failed == {"page"}


@pytest.mark.parametrize("page", ["about", "//evil.example", "http://a.example/", "/é"])
async def test_malformed_page(page: str) -> None:
    """A malformed path is refused before any request."""
    status, _, complaint = await doctor("--page", page, "http://localhost:1")
    assert status == 2
    assert "is not a path such as /about" in complaint


async def test_limit_in_the_middle(tmp_path: Path) -> None:
    """If a rate limit is reached during the examination, the affected checks say so."""
    async with site(tmp_path) as edge:
        pages = edge.origins[FUNCTION]
        left = 3

        class Limit:
            sockets = False

            async def answer(
                self, viewer: web.BaseRequest, request: OriginRequest
            ) -> web.StreamResponse:
                nonlocal left
                left -= 1
                return await pages.answer(viewer, request) if left >= 0 else refusal(429)()

        edge.edge._origins = {**edge.origins, FUNCTION: Limit()}
        findings = await examined(edge.url, PAGES, REDIRECTS)
    assert findings.failed
    assert all("too many requests" in findings.words(check) for check in findings.failed)
