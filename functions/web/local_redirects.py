"""Redirects stay on the site: none names the API's host, and none loops."""

from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit, urlunsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KEEP_THE_METHOD = (307, 308)
_REDIRECTS = (301, 302, *_KEEP_THE_METHOD)

_PORTS = {"http": ":80", "https": ":443"}  # URLs may omit these


class LocalRedirects:
    """ASGI middleware that corrects redirects to the function's own host name.

    `request.url_for` and Starlette's own redirects write absolute URLs with the request's host.
    Behind CloudFront that host is the API, which viewers must not be sent to, so only the path is
    kept.

    A redirect from `/docs` to `/docs/`, or back, is followed here: StaticFiles sends it for
    folders, and routers for routes written with a slash. DropTrailingSlashes alone decides which
    of the two addresses the viewer sees. A redirect that also changes the query is sent to the
    viewer, because a page that uses up a token, say, may set cookies along with it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body: list[Message] = []
        other: str | None = None
        followed = False

        async def receive_again() -> Message:
            if not followed:
                body.append(await receive())
                return body[-1]
            return body.pop(0) if body else await receive()

        async def send_local(message: Message) -> None:
            nonlocal other
            if message["type"] == "http.response.start":
                where = _location(message, scope)
                if where is not None:
                    other = None if followed else _other_spelling(where, message["status"], scope)
                    _make_local(message, where)
            if other is None:
                await send(message)

        await self.app({**scope}, receive_again, send_local)  # apps write into it
        if other is not None:
            respelled = {**scope, "path": other, "raw_path": None}
            other, followed = None, True
            await self.app(respelled, receive_again, send_local)


def _location(message: Message, scope: Scope) -> SplitResult | None:
    """Return a response's redirect target on this site; None if there is none."""
    raw = next((value for name, value in message["headers"] if name == b"location"), None)
    if raw is None:
        return None
    try:
        parts: SplitResult = urlsplit(
            urljoin(quote(scope["path"], errors="replace"), raw.decode("latin-1"))
        )
    except ValueError:
        return None
    if not parts.scheme and not parts.netloc:
        return parts
    port = _PORTS.get(scope["scheme"], "")
    own = Headers(scope=scope).get("host", "").lower().removesuffix(port)
    is_own = parts.netloc.lower().removesuffix(port) == own
    return parts if is_own and parts.scheme in ("", scope["scheme"]) else None


def _other_spelling(where: SplitResult, status: int, scope: Scope) -> str | None:
    """Return the path a redirect leads to if it differs only in slashes at the end."""
    if status not in (_REDIRECTS if scope["method"] in ("GET", "HEAD") else _KEEP_THE_METHOD):
        return None
    query = scope["query_string"].decode("latin-1")
    if where.fragment or unquote(where.query) != unquote(query):  # Starlette escapes more
        return None
    path = scope["path"]
    for spelling in (unquote(where.path), where.path):
        if spelling != path and spelling.rstrip("/") == path.rstrip("/"):
            return spelling
    return None


def _make_local(message: Message, where: SplitResult) -> None:
    """Reduce a redirect within this site to a path."""
    if where.netloc:
        # Browsers would read `//evil.example` as another site.
        path = "/" + where.path.lstrip("/\\")
        MutableHeaders(scope=message)["location"] = urlunsplit(("", "", path, *where[3:]))
