"""The site: settings, emitter, templates and static files, for every page."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from jinja2 import Environment, FileSystemLoader, pass_context, select_autoescape
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.templating import Jinja2Templates
from starlette.types import Scope

from functions.contract.session import Sessions
from functions.web.assets import Assets
from functions.web.emit import Emitter
from functions.web.settings import Settings

_OURS = Path(__file__).parent


@dataclass(frozen=True)
class Site:
    """What all pages share; a page gets it with `Site.of(request)`."""

    settings: Settings
    emitter: Emitter
    assets: Assets
    templates: Jinja2Templates
    sessions: Sessions

    @classmethod
    def create(cls, settings: Settings, emitter: Emitter, folder: Path) -> Self:
        """Return the site with the templates/ and static/ of a folder.

        Those of functions/web are added. If two files have the same name, the folder's is used,
        except that style sheets are joined.
        """
        assets = Assets(_OURS / "static", folder / "static")
        env = Environment(
            loader=FileSystemLoader([folder / "templates", _OURS / "templates"]),
            # Everything is escaped but plain text: `feed.xml`, `map.svg` and `page.html.j2` too.
            autoescape=select_autoescape(default=True, disabled_extensions=["txt"]),
            auto_reload=False,  # in development, a change restarts the function
        )
        templates = Jinja2Templates(env=env)  # adds a global of its own
        env.globals["import_map"] = assets.import_map
        env.globals["url_for"] = _url_for
        # A filter, because Jinja2 applies filters to constants when it compiles a template.
        env.filters["static"] = assets.url
        sessions = Sessions(settings.session_secret, *settings.former_secrets)
        return cls(settings, emitter, assets, templates, sessions)

    def compile_templates(self) -> None:
        """Compile all templates ahead of requests; raise TemplateError for a broken one."""
        for name in self.templates.env.list_templates(extensions=["html"]):
            self.templates.get_template(name)

    @classmethod
    def of(cls, request: Request) -> Self:
        """Return the site of a request."""
        site: Self = main_app(request.scope).state.site
        return site

    def page(self, request: Request, template: str, status: int = 200, **context: Any) -> Response:
        """Render a template as a page for this visitor, which no cache may store."""
        headers = {"cache-control": "private, no-store"}
        return self.templates.TemplateResponse(request, template, context, status, headers)


def main_app(scope: Scope) -> Starlette:
    """Return the site's app, even if an app mounted in it handles the request."""
    app: Starlette = scope.get("state", {}).get("main_app") or scope["app"]
    return app


@pass_context
def _url_for(context: Mapping[str, Any], name: str, /, **params: Any) -> str:
    """Return a route's address by its name: a path, because the host name is the API's."""
    request: Request = context["request"]
    return str(request.url_for(name, **params).replace(scheme="", netloc=""))
