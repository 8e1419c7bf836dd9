"""What every page can reach: the room log, the sockets, the templates and the static files."""

from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from sys import getsizeof
from typing import Any, Self

from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.templating import Jinja2Templates

from functions.assets import Assets
from functions.contract.cache import Cache
from functions.contract.room_log import Message, RoomLog
from functions.emit import Emitter
from functions.recent import Recent, size

# Bytes of messages as HTML, one by one and as a page's list. One message has at most 40 KB, for all
# that HTML escapes is five characters then.
_REMEMBERED = 8 * 1024 * 1024
_REMEMBERED_LISTS = 16 * 1024 * 1024


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
        env = _Environment(
            loader=FileSystemLoader(folder / "templates"),
            autoescape=select_autoescape(),
            auto_reload=False,  # in development a change starts the function anew
        )
        templates = Jinja2Templates(env=env)  # adds a global of its own
        env.globals["import_map"] = assets.import_map
        # Filters, as Jinja2 applies them to what is constant when it compiles a template.
        env.filters.update(iso=iso, static=assets.url)
        messages = _MessageItems(env.get_template("message.html").module.item)  # type: ignore[attr-defined]  # its macro
        env.globals["message_items"] = messages
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


class _Environment(Environment):
    """Jinja2's, but a template gets the globals of its first load, in one dict.

    Every page copies them: out of Jinja2's chain of two that took 3 % of a page's time.
    """

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        return {**self.globals, **(d or {})}


class _MessageItems:
    """Messages as HTML. As one never changes, it is made once: fifty took half of a page's time."""

    def __init__(self, item: Callable[[Message, bool], Markup]) -> None:
        self._make = item
        self._items: Cache[tuple[Message, bool], Markup] = Cache(_REMEMBERED)
        self._lists: Cache[tuple[tuple[Message, ...], str], Markup] = Cache(_REMEMBERED_LISTS)

    def __call__(self, messages: Iterable[Message], me: str) -> Markup:
        """Return messages as list items; those of the visitor `me` are marked."""
        messages = tuple(messages)
        # Who wrote none of them sees the same list as everybody else who did not.
        key = messages, me if me in [message.author for message in messages] else ""
        joined = self._lists.get(key)
        if joined is None:
            items = [self._item(message, message.author == me) for message in messages]
            joined = Markup("".join(items))  # the template has escaped what is in them
            self._lists.put(key, joined, getsizeof(joined) + size(messages))
        return joined

    def _item(self, message: Message, mine: bool) -> Markup:
        item = self._items.get((message, mine))
        if item is None:
            item = self._make(message, mine)
            self._items.put((message, mine), item, getsizeof(item) + size([message]))
        return item


def iso(milliseconds: int) -> str:
    """Write a message's time as HTML's `datetime` wants it, in UTC."""
    # Not strftime: for a page full of messages that took a tenth of the time.
    return datetime.fromtimestamp(milliseconds // 1000, UTC).isoformat().replace("+00:00", "Z")
