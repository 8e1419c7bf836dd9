"""The lots for sale, as pages and as JSON."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions.model.lots import Lots
from functions.web.site import Site
from functions.web.visitor import visitor


async def overview(request: Request) -> Response:
    """Show everything."""
    lots: Lots = request.app.state.lots
    return Site.of(request).page(request, "lots.html", lots=lots.all(), me=visitor(request))


async def one(request: Request) -> Response:
    """Show one lot."""
    lots: Lots = request.app.state.lots
    site, name = Site.of(request), request.path_params["name"]
    for lot in lots.all():
        if lot.name == name:
            return site.page(request, "lot.html", lot=lot, address=site.settings.own["ADDRESS"])
    raise HTTPException(404, "This lot is not for sale.")


async def every(request: Request) -> Response:
    """List all lots as JSON."""
    lots: Lots = request.app.state.lots
    return JSONResponse([lot._asdict() for lot in lots.all()])
