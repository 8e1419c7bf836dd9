"""The small app's pages: a greeting with the posts, a form, and an about page."""

import uuid
from contextlib import suppress
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from functions.web.emit import EmitError
from functions.web.form import read_form
from functions.web.site import Site
from functions.web.visitor import visitor
from tests.small_app.model.posts import MAX_ID, MAX_TEXT, Posts
from tests.small_app.model.votes import Votes

PLAZA = "plaza"


@dataclass(frozen=True)
class Stores:
    """The stores that the pages use."""

    posts: Posts
    votes: Votes

    @classmethod
    def of(cls, request: Request) -> "Stores":
        """Return the stores of a request's site."""
        stores: Stores = request.app.state.stores
        return stores


async def hello(request: Request) -> Response:
    """Show the greeting from the setting and the posts, and count a vote."""
    site, stores = Site.of(request), Stores.of(request)
    return site.page(
        request,
        "hello.html",
        greeting=site.settings.own["GREETING"],
        count=stores.votes.add("hello"),
        posts=stores.posts.latest(PLAZA),
        me=visitor(request),
    )


async def post(request: Request) -> Response:
    """Store the form's text, and emit it to the sockets."""
    fields, me = await read_form(request), visitor(request)
    text, id_ = fields.get("text", ""), fields.get("id") or uuid.uuid4().hex
    if not 0 < len(text) <= MAX_TEXT or len(id_) > MAX_ID:
        raise HTTPException(400, f"A post has 1 to {MAX_TEXT:,} characters.")
    stored, _ = Stores.of(request).posts.add(PLAZA, id_, me.id, me.name, text)
    with suppress(EmitError):  # it is stored
        Site.of(request).emitter.emit("message", stored._asdict(), room=PLAZA)
    return RedirectResponse("/", 303)


async def about(request: Request) -> Response:
    """Show which environment served this page."""
    context = request.scope.get("aws.context")
    return Site.of(request).page(request, "served.html", context=context)


routes = [
    Route("/", hello),
    Route("/", post, methods=["POST"]),
    Route("/about", about),
]


def start(app: Starlette) -> None:
    """Open the stores."""
    own = app.state.site.settings.own
    app.state.stores = Stores(Posts(own["POSTS"]), Votes(own["MOST_VOTES"]))
