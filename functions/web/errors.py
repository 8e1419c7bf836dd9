"""Error responses: a page for people, problem+json (RFC 9457) for programs."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from functions.web.accept import qualities
from functions.web.routing import allowed_methods
from functions.web.site import Site, main_app

_log = logging.getLogger(__name__)

_NO_BODY = (204, 304)

API = "/api"  # below it, errors are JSON, whatever the client accepts


class InvalidError(HTTPException):
    """The body does not have the required form; `errors` lists the problems by field."""

    def __init__(self, detail: str, errors: Sequence[Mapping[str, str]]) -> None:
        super().__init__(422, detail)
        self.errors = errors


async def error_response(request: Request, error: Exception) -> Response:
    """Respond with an error; only an HTTPException's details are disclosed."""
    status, detail, headers = 500, "", dict[str, str]()
    if isinstance(error, HTTPException):
        status, detail, headers = error.status_code, error.detail, dict(error.headers or {})
    if status == 405:
        headers = {name.lower(): value for name, value in headers.items()} | _allow(request)
    if status in _NO_BODY:
        return Response(None, status, headers)
    response = _problem(error, status, detail) if wants_json(request) else None
    if response is None:
        response = _page(request, status, detail)
    response.headers.update(headers)
    return response


def _page(request: Request, status: int, detail: str) -> Response:
    site = Site.of(request)
    try:
        return site.page(request, "error.html", status, code=status, detail=detail)
    except Exception:
        if site.settings.development:
            raise
        _log.exception("The template error.html cannot be rendered")
        return PlainTextResponse(f"{status} {_title(status)}\n", status)


def _title(status: int) -> str:
    return HTTPStatus(status).phrase if status in [*HTTPStatus] else "Error"


def _problem(error: Exception, status: int, detail: str) -> Response:
    title = _title(status)
    problem: dict[str, Any] = {"title": title, "status": status}
    if detail and detail != title:
        problem["detail"] = detail
    if isinstance(error, InvalidError):
        problem["errors"] = list(error.errors)
    response = JSONResponse(problem, status, media_type="application/problem+json")
    response.headers["cache-control"] = "private, no-store"
    return response


def _allow(request: Request) -> dict[str, str]:
    """Return the Allow header of a path that several routes share."""
    methods = allowed_methods(
        main_app(request.scope), {**request.scope, "root_path": "", "path_params": {}}
    )
    return {"allow": ", ".join(sorted(methods))} if methods else {}


def wants_json(request: Request) -> bool:
    """Whether the error response to this request should be JSON.

    It should be below /api, and for clients that prefer JSON to HTML in Accept, or that send JSON
    and do not ask for a page.
    """
    path = request.scope["path"]
    if path == API or path.startswith(f"{API}/"):
        return True
    accepted = qualities(",".join(request.headers.getlist("accept")))
    page = max(accepted.get("text/html", 0.0), accepted.get("application/xhtml+xml", 0.0))
    data = max((weight for kind, weight in accepted.items() if is_json(kind)), default=0.0)
    return data > page or (not page and is_json(request.headers.get("content-type", "")))


def is_json(media_type: str) -> bool:
    """Whether a media type, with or without parameters, is JSON or a kind of it."""
    kind = media_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )
