"""The page about how the site is served."""

from starlette.requests import Request
from starlette.responses import Response

from functions.web.site import Site
from functions.web.visitor import visitor


async def about(request: Request) -> Response:
    """Show what served this page."""
    context = request.scope.get("aws.context")
    return Site.of(request).page(request, "about.html", context=context, me=visitor(request))
