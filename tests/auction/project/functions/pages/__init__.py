"""The auction's pages."""

from starlette.applications import Starlette

from functions.model.endings import EndedSessions, open_endings
from functions.model.lots import open_lots
from functions.pages import lots, questions, staff, visitors
from functions.web.routing import Mount, Route

routes = [
    Route("/", lots.overview),
    Route("/lots/{name}/", lots.one),
    Route("/sign-in", visitors.ask, methods=["GET"]),
    Route("/sign-in", visitors.enter, methods=["POST"]),
    Route("/sign-out", visitors.leave, methods=["POST"]),
    Route("/sign-out/everywhere", visitors.leave_everywhere, methods=["POST"]),
    Route("/questions", questions.ask, methods=["POST"]),
    Route("/api/lots", lots.every, methods=["GET"]),
    Route("/api/lots", staff.offer, methods=["POST"], claim="role=auctioneer"),
    Mount(
        "/staff",
        routes=[
            Route("/withdrawals", staff.withdraw, methods=["POST"]),
            Route("/news", staff.tell, methods=["POST"]),
            Route("/bans", staff.ban, methods=["POST"]),
        ],
        claim="role=auctioneer",
    ),
]

keep_slash = ["/lots/"]


def start(app: Starlette) -> None:
    """Open the lots and the record of ended sessions."""
    own = app.state.site.settings.own
    app.state.lots = open_lots(own["LOTS"])
    app.state.ended_sessions = EndedSessions(open_endings(own["ENDINGS"]))
