"""What every page can reach: the room log, the sockets, the templates and the static files."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.templating import Jinja2Templates

from functions.assets import Assets
from functions.contract.room_log import Message, RoomLog
from functions.emit import Emitter
from functions.recent import Recent

_REMEMBERED = 1_000  # messages as HTML, of at most some 10 KB each


@dataclass(frozen=True)
class Site:
    """The wiring of the pages; a page gets it by `Site.of(request)`."""

    log: RoomLog
    recent: Recent
    emitter: Emitter
    assets: Assets
    templates: Jinja2Templates

    @classmethod
    def create(cls, log: RoomLog, emitter: Emitter, folder: Path) -> Self:
        """Return the site whose templates/ and static/ lie in a folder."""
        assets = Assets(folder / "static")
        templates = Jinja2Templates(folder / "templates")
        templates.env.auto_reload = False  # in development a change starts the function anew
        # Filters, as Jinja2 applies them to what is constant when it compiles a template.
        templates.env.filters.update(iso=iso, static=assets.url)
        messages = _MessageItems(templates.get_template("message.html").module.item)  # type: ignore[attr-defined]  # its macro
        templates.env.globals.update(import_map=assets.import_map, message_items=messages)
        return cls(log, Recent(log), emitter, assets, templates)

    def compile_templates(self) -> None:
        """Do now what the first request would wait for; raises TemplateError for a broken one."""
        for name in self.templates.env.list_templates(extensions=["html"]):
            self.templates.get_template(name)

    @classmethod
    def of(cls, request: Request) -> Self:
        """Return the site a request is for."""
        site: Self = request.app.state.site
        return site

    def page(self, request: Request, template: str, status: int = 200, **context: Any) -> Response:
        """Render a template as a page of this visitor's own, which no cache may keep."""
        headers = {"cache-control": "private, no-store"}
        return self.templates.TemplateResponse(request, template, context, status, headers)


class _MessageItems:
    """Messages as HTML. As one never changes, it is made once: fifty took half of a page's time."""

    def __init__(self, item: Callable[[Message, bool], Markup]) -> None:
        self._item = lru_cache(_REMEMBERED)(item)

    def __call__(self, messages: Iterable[Message], me: str) -> Markup:
        """Return messages as list items; those of the visitor `me` are marked."""
        items = [self._item(message, message.author == me) for message in messages]
        return Markup("".join(items))  # the template has escaped what is in them


def iso(milliseconds: int) -> str:
    """Write a message's time as HTML's `datetime` wants it, in UTC."""
    # Not strftime: for a page full of messages that took a tenth of the time.
    return datetime.fromtimestamp(milliseconds // 1000, UTC).isoformat().replace("+00:00", "Z")
