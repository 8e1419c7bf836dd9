"""The small app's one page."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from functions.web.site import Site
from tests.small_app.store import Votes


async def hello(request: Request) -> Response:
    """Greet as the setting says, and count the vote."""
    site, votes = Site.of(request), request.app.state.votes
    greeting = site.settings.own["GREETING"]
    return site.page(request, "hello.html", greeting=greeting, count=votes.add("hello"))


routes = [Route("/", hello)]


def start(app: Starlette) -> None:
    """Open the store."""
    app.state.votes = Votes(app.state.site.settings.own["MOST_VOTES"])
