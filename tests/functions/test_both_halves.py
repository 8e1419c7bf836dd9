"""A visitor who signs in on a page is signed in at the socket host, until the session ends."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from socketio.exceptions import ConnectionRefusedError as Refused
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from functions.contract.session import Session
from functions.web.visitor import sign_in, sign_out
from socket_host.namespace import Namespace
from tests.functions.answering import SECRET, Ask, site
from tests.kit import hosts
from tests.kit.clients import clients
from tests.kit.hosts import on_each_transport, serving, url

CLAIMS = {"role": "editor", "teams": ["a", "b"]}


class Ended:
    """Ended sessions as in docs/sign-in.md, in memory."""

    def __init__(self) -> None:
        self.ended: dict[str, float] = {}

    def end(self, visitor: str) -> None:
        self.ended[visitor] = time.time()

    def is_ended(self, session: Session) -> bool:
        return session.signed_in_at < self.ended.get(session.id, 0.0)


class Desk(Namespace):
    """Returns a client's session, and refuses sessions that have ended."""

    ended: ClassVar[Ended]

    def admit(self, sid: str, environ: Mapping[str, Any], auth: Any) -> Session:
        session = super().admit(sid, environ, auth)
        if self.ended.is_ended(session):
            raise Refused("You were signed out. Reload the page.", {"code": "session"})
        return session

    async def on_who(self, sid: str) -> dict[str, Any]:
        session = self.visitor(sid)
        claims = {name: session.claims.get(name) for name in CLAIMS}
        return {"id": session.id, "name": session.name, "claims": claims}


async def enter(request: Request) -> Response:
    sign_in(request, id="user-7", name="Ann", claims=CLAIMS)
    return RedirectResponse("/", 303)


async def leave(request: Request) -> Response:
    sign_out(request, everywhere=True)
    return RedirectResponse("/", 303)


async def leave_here(request: Request) -> Response:
    sign_out(request)
    return RedirectResponse("/", 303)


def answered(ask: Ask, path: str, former: str = "") -> str:
    """Post a form with a former cookie, or none; return the new session cookie."""
    (found,) = ask(path, method="POST", sec_fetch_site="same-origin", cookie=former)["cookies"]
    return str(found).partition(";")[0]


async def test_one_browser_signs_out(tmp_path: Path) -> None:
    """All sockets of that browser are closed, and those of other browsers stay open."""
    Desk.ended = Ended()
    async with serving(tmp_path, Desk) as host, clients() as people:
        ask = site(
            Route("/enter", enter, methods=["POST"]),
            Route("/leave", leave_here, methods=["POST"]),
            bus=f"{url(host)}/bus",
        )
        laptop = await asyncio.to_thread(answered, ask, "/enter")
        phone = await asyncio.to_thread(answered, ask, "/enter")
        tabs = [await people.connect(url(host), None, headers={"Cookie": laptop}) for _ in "ab"]
        other = await people.connect(url(host), None, headers={"Cookie": phone})
        await asyncio.to_thread(answered, ask, "/leave", laptop)
        for tab in tabs:
            await tab.receive("disconnect")
        assert (await other.call("who"))["id"] == "user-7"


@on_each_transport
async def test_signed_in_until_the_end(transport: str, tmp_path: Path) -> None:
    """Events see the claims in the page's cookie; once the session has ended, it is refused."""
    assert SECRET == hosts.SECRET
    Desk.ended = Ended()
    ask = site(
        Route("/enter", enter, methods=["POST"]),
        Route("/leave", leave, methods=["POST"]),
        start=lambda app: setattr(app.state, "ended_sessions", Desk.ended),
    )

    async with serving(tmp_path, Desk, transport=transport) as host, clients() as people:
        entered = await asyncio.to_thread(answered, ask, "/enter")
        ann = await people.connect(url(host), None, headers={"Cookie": entered})
        assert await ann.call("who") == {"id": "user-7", "name": "Ann", "claims": CLAIMS}
        left = await asyncio.to_thread(answered, ask, "/leave", entered)
        client = await people.begin(url(host), None, headers={"Cookie": entered}, wait=False)
        refusal = await client.receive("connect_error")
        assert refusal == {
            "message": "You were signed out. Reload the page.",
            "data": {"code": "session"},
        }
        somebody = await people.connect(url(host), None, headers={"Cookie": left})
        assert (await somebody.call("who"))["id"] != "user-7"
        again = await asyncio.to_thread(answered, ask, "/enter", left)
        back = await people.connect(url(host), None, headers={"Cookie": again})
        assert (await back.call("who"))["id"] == "user-7"
