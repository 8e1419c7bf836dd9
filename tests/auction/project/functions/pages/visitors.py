"""Sign-in: the auctioneer with a word, everybody else with a name."""

import hmac

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from functions.web.form import read_form
from functions.web.site import Site
from functions.web.visitor import sign_in, sign_out, visitor


async def ask(request: Request) -> Response:
    """Show the form."""
    return Site.of(request).page(request, "sign-in.html", me=visitor(request))


async def enter(request: Request) -> Response:
    """Sign in with the form."""
    fields = await read_form(request)
    name, word = fields.get("name", "").strip(), fields.get("password", "")
    if not 0 < len(name) <= 40 or not name.isprintable():
        raise HTTPException(400, "A name has 1 to 40 characters.")
    claims = {}
    if word:
        expected: str = Site.of(request).settings.own["AUCTIONEER_PASSWORD"]
        if not hmac.compare_digest(word.encode(), expected.encode()):
            return Site.of(request).page(request, "sign-in.html", 401, me=visitor(request))
        claims = {"role": "auctioneer"}
    sign_in(request, id=name.lower(), name=name, claims=claims)
    return RedirectResponse("/", 303)


async def leave(request: Request) -> Response:
    """Sign out."""
    sign_out(request)
    return RedirectResponse("/", 303)


async def leave_everywhere(request: Request) -> Response:
    """End all of this visitor's sessions, including those in other browsers."""
    sign_out(request, everywhere=True)
    return RedirectResponse("/", 303)
