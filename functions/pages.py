"""The pages: one function each, and the list of routes. Put yours here."""

import logging
import secrets

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from functions.contract.room_log import LOBBY, MAX_TEXT, is_message_id, is_room, is_text
from functions.emit import EmitError
from functions.form import read_form
from functions.site import Site
from functions.visitor import visitor

_log = logging.getLogger(__name__)


async def lobby(request: Request) -> Response:
    """Show the room of everybody who joins none."""
    return room_page(request, LOBBY)


async def room(request: Request) -> Response:
    """Show a room by its name."""
    return room_page(request, room_name(request))


async def say(request: Request) -> Response:
    """Store what was written into a room's form, and tell everybody there: all without a socket."""
    name, fields, me = room_name(request), await read_form(request), visitor(request)
    id_, text = fields.get("id", ""), fields.get("text", "").strip()
    if not is_message_id(id_) or not is_text(text) or not text:
        notice = f"A message has 1 to {MAX_TEXT:,} characters."
        return room_page(request, name, 400, draft=text, notice=notice)
    site = Site.of(request)
    stored = site.log.append(name, id=id_, author=me.id, name=me.name, text=text).message
    try:
        site.emitter.emit("message", stored.to_json(), room=name)
    except EmitError as error:
        # It is stored, so nobody misses it: the next message shows them the hole.
        _log.warning("%s", error)
    return RedirectResponse("/" if name == LOBBY else f"/rooms/{name}", 303)


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
    Route("/rooms/{room}", say, methods=["POST"]),
    Route("/about", about),
]


def room_name(request: Request) -> str:
    """Return the name of the room in a path; raise HTTPException if there can be none."""
    name: str = request.path_params["room"]
    if not is_room(name):
        raise HTTPException(404, "A room's name has small letters, digits and hyphens only.")
    return name


def room_page(
    request: Request, name: str, status: int = 200, *, draft: str = "", notice: str = ""
) -> Response:
    """Render a room as it stands: whole without JavaScript, and where JavaScript goes on from."""
    site = Site.of(request)
    messages, text = site.recent.state(name)
    return site.page(
        request,
        "room.html",
        status,
        room=name,
        draft=draft,
        notice=notice,
        new_id=secrets.token_hex(16),
        messages=messages,
        last=messages[-1].seq if messages else 0,
        text=text,
        me=visitor(request),
    )
