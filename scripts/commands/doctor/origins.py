"""Origins: the site's own pages may connect, and no others."""

from aiohttp import WSServerHandshakeError

from scripts.commands.doctor.answer import Answer
from scripts.commands.doctor.engine import POLLING, WEBSOCKET, opened, opened_by
from scripts.commands.doctor.finding import Failure
from scripts.commands.doctor.site import Site

FOREIGN = "https://evil.example"

_HANDSHAKE = f"/socket.io/?{POLLING}"


async def own(site: Site) -> str:
    """The site's own pages may connect."""
    origin = site.address.origin
    answer = await site.ask(_HANDSHAKE, headers={"Origin": origin})
    if answer.status == 403:
        raise Failure(
            f"The host refuses this site's own pages, whose origin is {origin}: {answer.said}.",
            why="Browsers send that origin with every websocket and POST, so nobody can connect; "
            "only clients that send no origin can.",
            do=f"The host's PUBLIC_ORIGIN must name {origin} (several are separated by commas): "
            "see the socket host's environment in infra/template.yaml. scripts/dev allows "
            "http://localhost and http://127.0.0.1 with its own port.",
        )
    async with opened_by(site, answer):
        return f"Pages of {origin} may connect."


async def foreign(site: Site) -> str:
    """Pages of another site may not connect, and cannot read any response."""
    headers = {"Origin": FOREIGN}
    answer = await site.ask(_HANDSHAKE, headers=headers)
    for read in (answer, await site.ask(site.page, headers=headers)):
        _check_unreadable(read)
    if opened(answer) is not None or await _opens_websocket(site):
        raise Failure(
            f"A page of {FOREIGN} may connect.",
            why="Any site that a visitor has open can read and write here in the visitor's name.",
            do="The host must get the Origin header, so the behaviour /socket.io/* in "
            "infra/template.yaml must have the OriginRequestPolicyId AllViewer; and the host's "
            "PUBLIC_ORIGIN must name only this site.",
        )
    return f"Pages of {FOREIGN} may not connect ({answer.status}), and cannot read the response."


def _check_unreadable(answer: Answer) -> None:
    allowed = answer.headers.get("Access-Control-Allow-Origin", "")
    if allowed in ("*", FOREIGN):
        raise Failure(
            f"{answer.path} has Access-Control-Allow-Origin: {allowed}.",
            why="Every other site may read this response.",
            do="Nothing here needs that header: look for it in socket_host/app.py, "
            "functions/web/headers.py, and a ResponseHeadersPolicyId in infra/template.yaml.",
        )


async def _opens_websocket(site: Site) -> bool:
    try:
        async with site.websocket(WEBSOCKET, {"Origin": FOREIGN}):
            return True
    except WSServerHandshakeError:
        return False
