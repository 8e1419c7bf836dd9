"""Yours: the pages, one function each, with their templates/ and static/."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from functions.web.site import Site
from functions.web.visitor import visitor


async def front(request: Request) -> Response:
    """Say hello to the visitor."""
    return Site.of(request).page(request, "front.html", me=visitor(request))


routes = [
    Route("/", front),
]


def start(app: Starlette) -> None:
    """Open what the pages need, once, before the first request."""
