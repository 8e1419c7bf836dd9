"""The rooms' pages: show a room, and store messages posted in its form."""

import logging
import secrets
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from functions.contract.setting import StartError
from functions.model.payloads import LOBBY, MAX_TEXT, is_blank, is_message_id, is_room, is_text
from functions.model.room_cache import RoomCache
from functions.model.room_log import RoomLog, RoomLogError
from functions.model.room_logs import open_room_log
from functions.pages.message_items import MessageItems, iso
from functions.web.emit import EmitError
from functions.web.errors import error_response
from functions.web.form import read_form
from functions.web.site import Site
from functions.web.visitor import visitor

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rooms:
    """Reads and writes rooms for the pages; a page gets it with `Rooms.of(request)`."""

    log: RoomLog
    room_cache: RoomCache

    @classmethod
    def of(cls, request: Request) -> "Rooms":
        """Return the rooms of a request's site."""
        rooms: Rooms = request.app.state.rooms
        return rooms


def start(app: Starlette) -> None:
    """Open the room log, and add filters and globals to the templates; may raise StartError."""
    site: Site = app.state.site
    try:
        log = open_room_log(site.settings.own["ROOM_LOG"])
    except RoomLogError as error:
        raise StartError(str(error)) from error
    app.state.rooms = Rooms(log, RoomCache(log))
    app.add_exception_handler(RoomLogError, unavailable)
    env = site.templates.env
    env.filters["iso"] = iso
    item = env.get_template("message.html").module.item  # type: ignore[attr-defined]  # its macro
    env.globals["message_items"] = MessageItems(item)


async def unavailable(request: Request, error: Exception) -> Response:
    """Answer with 503 while the room log cannot be used, and log why in one line."""
    _log.error("%s", error)
    words = "Messages cannot be stored or read just now. Try again in a moment."
    return await error_response(request, HTTPException(503, words))


async def lobby(request: Request) -> Response:
    """Show the room of visitors who have not chosen one."""
    return room_page(request, LOBBY)


async def room(request: Request) -> Response:
    """Show a room by its name."""
    return room_page(request, room_name(request))


async def say(request: Request) -> Response:
    """Store the message in a room's form and emit it to the room, for pages without a socket."""
    name, fields, me = room_name(request), await read_form(request), visitor(request)
    id_, text = fields.get("id", ""), fields.get("text", "").strip()
    if not is_message_id(id_) or not is_text(text) or is_blank(text):
        notice = f"A message has 1 to {MAX_TEXT:,} characters."
        return room_page(request, name, 400, draft=text, notice=notice)
    log = Rooms.of(request).log
    stored = log.append(name, id=id_, author=me.id, name=me.name, text=text).message
    try:
        Site.of(request).emitter.emit("message", stored.to_json(), room=name)
    except EmitError as error:
        # The message is stored. Clients fetch it when they see the gap before the next one.
        _log.warning("%s", error)
    return RedirectResponse("/" if name == LOBBY else f"/rooms/{name}", 303)


async def open_room(request: Request) -> Response:
    """Redirect to the room named in the form."""
    name = request.query_params.get("room", "").strip().lower().replace(" ", "-")
    return RedirectResponse(f"/rooms/{checked(name)}", 303)


def room_name(request: Request) -> str:
    """Return the room name in a path; raise HTTPException if it is not valid."""
    return checked(request.path_params["room"])


def checked(name: str) -> str:
    """Return a room name; raise HTTPException if it is not valid."""
    if not is_room(name):
        rule = (
            "A room's name has 1 to 64 lowercase letters, digits or hyphens, and no leading hyphen."
        )
        raise HTTPException(404, rule)
    return name


def room_page(
    request: Request, name: str, status: int = 200, *, draft: str = "", notice: str = ""
) -> Response:
    """Render a room: complete without JavaScript, and room.js continues from there."""
    messages, text = Rooms.of(request).room_cache.state(name)
    return Site.of(request).page(
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
