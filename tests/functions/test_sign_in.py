"""Pages sign visitors in and out, and routes require claims."""

import logging
import time
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from functions.contract.cookie import read_cookie
from functions.contract.session import COOKIE, Session, Sessions
from functions.contract.setting import StartError
from functions.web.emit import EmitError
from functions.web.routing import Mount, Route
from functions.web.site import Site
from functions.web.visitor import sign_in, sign_out, visitor
from tests.functions.answering import SECRET, Ask, site

CLAIMS = {"role": "editor", "verified": True, "auth_time": 7.5}
ANN = Session("user-1", "Ann", claims=CLAIMS)


async def enter(request: Request) -> Response:
    sign_in(request, id=ANN.id, name=ANN.name, claims=ANN.claims)
    return RedirectResponse("/me", 303)


async def leave(request: Request) -> Response:
    sign_out(request)
    return RedirectResponse("/me", 303)


async def me(request: Request) -> Response:
    session = visitor(request)
    return JSONResponse({"id": session.id, "name": session.name, "claims": dict(session.claims)})


class Everything(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        return PlainTextResponse("all of it")


@pytest.fixture
def ask() -> Ask:
    return site(
        Route("/enter", enter, methods=["POST"]),
        Route("/leave", leave, methods=["POST"]),
        Route("/me", me),
        Route("/edit", me, claim="role=editor"),
        Route("/admin", me, claim="role=admin"),
        Route("/verified/", me, claim="verified"),
        Route("/class", Everything, claim="verified"),
        Mount("/staff", routes=[Route("/", me), Route("/list", me)], claim="role=editor"),
    )


def cookie(answer: dict[str, Any]) -> str:
    (found,) = answer["cookies"]
    return str(found).partition(";")[0]


def session(answer: dict[str, Any]) -> Session:
    return read_cookie(cookie(answer), Sessions(SECRET)).session


def issued(who: Session) -> str:
    return f"{COOKIE}={Sessions(SECRET).issue(who)}"


def test_sign_in_and_out(ask: Ask) -> None:
    """Signed in, a visitor has an id, a name and claims; signed out, a new session."""
    first = ask("/me")
    entered = ask("/enter", method="POST", cookie=cookie(first))
    assert session(entered) == ANN
    again = ask("/me", cookie=cookie(entered))
    assert "cookies" not in again
    assert '"claims":{"auth_time":7.5,"role":"editor","verified":true}' in again["body"]
    left = ask("/leave", method="POST", cookie=cookie(entered))
    assert session(left).id not in (ANN.id, session(first).id)
    assert not session(left).claims


def test_first_request_signs_in(ask: Ask) -> None:
    """A visitor who signs in with their first request gets a single, correct cookie."""
    entered = ask("/enter", method="POST", sec_fetch_site="same-origin")
    assert session(entered) == ANN


def test_renewal_keeps_claims(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session in the second half of its life is renewed with its claims."""
    monkeypatch.setattr(Sessions, "is_due", lambda sessions, token: True)
    assert session(ask("/me", cookie=issued(ANN))) == ANN


def test_app_within_the_site() -> None:
    """A mounted app can read the visitor, and sign them in and out."""
    app = Starlette(routes=[Route("/enter", enter), Route("/me", me, claim="role=editor")])
    ask = site(Mount("/app", app))
    entered = ask("/app/enter")
    assert session(entered) == ANN
    assert ask("/app/me", cookie=cookie(entered))["statusCode"] == 200
    assert ask("/app/me")["statusCode"] == 403


def test_due_session_does_not_outlive_a_sign_out(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that is due for renewal is not renewed by the request that signs out."""
    monkeypatch.setattr(Sessions, "is_due", lambda sessions, token: True)
    assert session(ask("/leave", method="POST", cookie=issued(ANN))) != ANN


@pytest.mark.parametrize(
    ("path", "claims", "status"),
    [
        ("/edit", {"role": "editor"}, 200),
        ("/edit", {"role": ["viewer", "editor"]}, 200),
        ("/edit", {"role": "viewer"}, 403),
        ("/edit", {}, 403),
        ("/admin", {"role": "editor"}, 403),
        ("/verified", {"verified": True}, 200),
        ("/verified", {"verified": False}, 403),
        ("/class", {"verified": True}, 200),
        ("/class", {}, 403),
        ("/staff", {"role": "editor"}, 200),
        ("/staff/list", {"role": "editor"}, 200),
        ("/staff", {}, 403),
        ("/staff/list", {}, 403),
        ("/staff/none", {}, 403),
    ],
)
def test_routes_require_claims(path: str, claims: dict[str, Any], status: int, ask: Ask) -> None:
    """A route of any kind, or a whole mount, can require a claim."""
    answer = ask(path, cookie=issued(Session("user-1", "Ann", claims=claims)))
    assert answer["statusCode"] == status
    assert ("sign in with it" in answer["body"]) is (status == 403)


def test_refused_claim_is_a_page_or_a_problem(ask: Ask) -> None:
    """A visitor without the claim gets a page, a program gets a problem."""
    assert ask("/edit", accept="text/html")["headers"]["content-type"].startswith("text/html")
    problem = ask("/edit", accept="application/json")
    assert problem["headers"]["content-type"] == "application/problem+json"


@pytest.mark.parametrize("claim", ["", " "])
def test_claim_has_a_name(claim: str) -> None:
    """An empty claim raises StartError where the route is defined."""
    with pytest.raises(StartError, match="The route /: a claim must be a name, or a name and"):
        Route("/", me, claim=claim)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"id": ""}, "id must be a printable string"),
        ({"id": "a\nb"}, "id must be a printable string"),
        ({"id": 7}, "id must be a printable string"),
        ({"name": None}, "name must be a string, not None"),
        ({"claims": ["role"]}, "claims must be a dictionary, not .'role'"),
        ({"name": "A" * 1_000}, "shorten its name or claims"),
        ({"claims": {"a": object()}}, "JSON"),
    ],
)
def test_wrong_sign_in(wrong: dict[str, Any], words: str) -> None:
    """A session that cannot be issued raises ValueError in `sign_in`, and changes nothing."""
    problems = []

    async def mistaken(request: Request) -> Response:
        with pytest.raises(ValueError, match=words) as raised:
            sign_in(request, **{"id": "user-1", "name": "Ann"} | wrong)
        problems.append(raised.value)
        return await me(request)

    answer = site(Route("/", mistaken))("/", cookie=issued(ANN))
    assert len(problems) == 1
    assert '"name":"Ann"' in answer["body"]


def test_signed_in_at() -> None:
    """A session has the time of its sign-in, unless the page sets another; others have none."""
    found: list[Session] = []

    async def enter(request: Request) -> Response:
        found.append(visitor(request))
        found.append(sign_in(request, id="user-1", name="Ann"))
        found.append(sign_in(request, id="user-1", name="Ann", claims={"auth_time": 1}))
        return PlainTextResponse("")

    before = time.time()
    site(Route("/", enter))("/")
    new, now, then = (session.signed_in_at for session in found)
    assert (new, then) == (0, 1)
    assert before - 0.001 <= now <= time.time() + 0.001


class Store:
    """When each visitor's sessions were ended."""

    def __init__(self) -> None:
        self.ended: dict[str, float] = {}

    def end(self, visitor: str) -> None:
        self.ended[visitor] = time.time()

    def is_ended(self, session: Session) -> bool:
        return session.signed_in_at < self.ended.get(session.id, 0)

    def __len__(self) -> int:
        return 0  # so that it is falsy


async def leave_everywhere(request: Request) -> Response:
    sign_out(request, everywhere=True)
    return RedirectResponse("/me", 303)


def test_sign_out_everywhere() -> None:
    """All sessions of the visitor end; the next one, and other visitors', are valid."""
    store = Store()
    ask = site(
        Route("/me", me),
        Route("/edit", me, claim="role=editor"),
        Route("/leave", leave_everywhere, methods=["POST"]),
        start=lambda app: setattr(app.state, "ended_sessions", store),
    )
    others = [Session("user-2", "Bob", claims=CLAIMS), Session("nobody", "Amber Fox")]
    browsers = [issued(ANN), issued(Session("user-1", "Annabel", claims=CLAIMS))]
    for browser in browsers:
        assert ask("/edit", cookie=browser)["statusCode"] == 200
    ask("/leave", method="POST", cookie=browsers[0])
    for browser in browsers:
        assert ask("/edit", cookie=browser)["statusCode"] == 403
        assert session(ask("/me", cookie=browser)).id not in ("user-1", "user-2")
        assert ask("/leave", method="POST", cookie=browser)["statusCode"] == 403  # who are you?
    for other in others:
        assert "cookies" not in ask("/me", cookie=issued(other))
    again = Session("user-1", "Ann", claims=CLAIMS | {"auth_time": time.time() + 1})
    assert ask("/edit", cookie=issued(again))["statusCode"] == 200


def test_sign_out_everywhere_without_a_store() -> None:
    """Without a store it raises an error that says so, and the visitor stays signed in."""
    problems = []

    async def mistaken(request: Request) -> Response:
        with pytest.raises(RuntimeError, match=r"app\.state\.ended_sessions") as raised:
            sign_out(request, everywhere=True)
        problems.append(raised.value)
        return await me(request)

    assert "cookies" not in site(Route("/", mistaken))("/", cookie=issued(ANN))
    assert len(problems) == 1


class FakeEmitter:
    """An emitter that records whom it is asked to disconnect."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.gone: list[tuple[str, float | None]] = []

    def disconnect(self, visitor: str, *, signed_in_at: float | None = None) -> None:
        self.gone.append((visitor, signed_in_at))
        if self.error:
            raise self.error


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("error", [None, EmitError("the host is away")])
def test_sockets_end_with_the_sign_out(
    error: Exception | None,
    everywhere: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Signing out disconnects the visitor's sockets, and works even if no host can be reached."""
    received = FakeEmitter(error)

    async def describe(request: Request) -> Response:
        monkeypatch.setattr(Site.of(request).emitter, "disconnect", received.disconnect)
        sign_out(request, everywhere=everywhere)
        return PlainTextResponse("")

    ask = site(
        Route("/", describe), start=lambda app: setattr(app.state, "ended_sessions", Store())
    )
    answer = ask("/", cookie=issued(ANN))
    assert received.gone == [(ANN.id, None if everywhere else ANN.signed_in_at)]
    assert session(answer).id != ANN.id
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == (1 if error else 0)
    received.gone.clear()
    ask("/", cookie=issued(Session("nobody", "Amber Fox")))
    assert received.gone == [("nobody", None)]
