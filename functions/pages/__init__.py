"""Yours: the pages, one function each, with their templates/ and static/."""

from starlette.applications import Starlette
from starlette.routing import Route

from functions.pages import rooms
from functions.pages.about import about

routes = [
    Route("/", rooms.lobby),
    Route("/rooms", rooms.open_room),
    Route("/rooms/{room}", rooms.room),
    Route("/rooms/{room}", rooms.say, methods=["POST"]),
    Route("/about", about),
]


def start(app: Starlette) -> None:
    """Open what the pages need, once, before the first request."""
    rooms.start(app)
