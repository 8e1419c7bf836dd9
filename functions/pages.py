"""The pages: one function each, and the list of routes. Put yours here."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from functions.contract.room_log import LOBBY, is_room
from functions.site import Site
from functions.visitor import visitor


async def lobby(request: Request) -> Response:
    """Show the room of everybody who joins none."""
    return room_page(request, LOBBY)


async def room(request: Request) -> Response:
    """Show a room by its name."""
    name = request.path_params["room"]
    if not is_room(name):
        raise HTTPException(404, "A room's name has small letters, digits and hyphens only.")
    return room_page(request, name)


async def open_room(request: Request) -> Response:
    """Go to the room whose name was typed into the form."""
    name = request.query_params.get("room", "").strip().lower().replace(" ", "-")
    if not is_room(name):
        raise HTTPException(404, "A room's name has small letters, digits and hyphens only.")
    return RedirectResponse(f"/rooms/{name}", 303)


async def about(request: Request) -> Response:
    """Say in plain words which part served this page."""
    context = request.scope.get("aws.context")
    return Site.of(request).page(request, "about.html", context=context, me=visitor(request))


routes = [
    Route("/", lobby),
    Route("/rooms", open_room),
    Route("/rooms/{room}", room),
    Route("/about", about),
]


def room_page(request: Request, name: str) -> Response:
    """Render a room as it stands: whole without JavaScript, and where JavaScript goes on from."""
    site = Site.of(request)
    messages = site.log.latest(name)
    return site.page(
        request,
        "room.html",
        room=name,
        messages=messages,
        last=messages[-1].seq if messages else 0,
        text=site.log.text(name),
        me=visitor(request),
    )
