"""The auctioneer's actions."""

import time

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from functions.model.bids import Offer
from functions.web.form import read_form
from functions.web.json_body import read_json
from functions.web.site import Site


async def offer(request: Request) -> Response:
    """Offer a lot."""
    offered = await read_json(request, Offer)
    if not request.app.state.lots.offer(offered.lot, offered.reserve, time.time()):
        raise HTTPException(409, "There is a lot with this name.")
    return JSONResponse({"lot": offered.lot}, 201)


async def withdraw(request: Request) -> Response:
    """Withdraw a lot, and announce it to the hosts."""
    lot = (await read_form(request)).get("lot", "")
    request.app.state.lots.withdraw(lot)
    return PlainTextResponse(Site.of(request).emitter.announce("withdrawn", lot))


async def tell(request: Request) -> Response:
    """Send news to everybody."""
    text = (await read_form(request)).get("text", "")[:200]
    emitted = Site.of(request).emitter.emit("news", {"text": text}, namespace="/auction")
    return PlainTextResponse(emitted)


async def ban(request: Request) -> Response:
    """Ban a visitor."""
    who = (await read_form(request)).get("visitor", "")
    return PlainTextResponse(Site.of(request).emitter.disconnect(who))
