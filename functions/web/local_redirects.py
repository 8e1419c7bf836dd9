"""Redirects stay on the site: none names the API's host, and none leads to and fro for ever."""

from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KEEP_THE_METHOD = (307, 308)
_REDIRECTS = (301, 302, *_KEEP_THE_METHOD)


class LocalRedirects:
    """ASGI middleware for redirects by apps that take the function's host name for the site's.

    `request.url_for` and Starlette's own redirects write whole addresses, with the host that was
    asked. Behind CloudFront that is the API, where no viewer must be sent: the path is enough.

    A redirect from `/docs` to `/docs/`, or back, is followed here: StaticFiles wants it for
    folders, and routers for routes that are written with a slash. The viewer's address has none,
    or always one, whatever the app thinks; see DropTrailingSlashes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body: list[Message] = []
        other: SplitResult | None = None

        async def receive_and_keep() -> Message:
            body.append(await receive())
            return body[-1]

        async def receive_again() -> Message:
            return body.pop(0) if body else await receive()

        async def send_unless_followed(message: Message) -> None:
            nonlocal other
            if message["type"] == "http.response.start":
                other = _other_spelling(message, scope)
            if other is None:
                await send_local(message)

        async def send_local(message: Message) -> None:
            if message["type"] == "http.response.start":
                _make_local(message, scope)
            await send(message)

        await self.app({**scope}, receive_and_keep, send_unless_followed)  # apps write into it
        if other is not None:
            query = other.query.encode("latin-1")
            respelled = {**scope, "path": other.path, "raw_path": None, "query_string": query}
            await self.app(respelled, receive_again, send_local)


def _location(message: Message, scope: Scope) -> SplitResult | None:
    """Return where on this site a response leads to; None if nowhere, or elsewhere."""
    written = Headers(raw=message["headers"]).get("location")
    if written is None:
        return None
    try:
        parts = urlsplit(written)
    except ValueError:
        return None
    origin = f"{scope['scheme']}://{Headers(scope=scope).get('host', '')}"
    is_path = written.startswith("/") and not written.startswith(("//", "/\\"))
    named = f"{parts.scheme}://{parts.netloc}".lower()
    return parts if is_path or named == origin.lower() else None


def _other_spelling(message: Message, scope: Scope) -> SplitResult | None:
    """Return where a redirect leads to if only the slashes at the end of the path differ."""
    methods = ("GET", "HEAD")
    if message["status"] not in (_REDIRECTS if scope["method"] in methods else _KEEP_THE_METHOD):
        return None
    parts, path = _location(message, scope), scope["path"]
    if parts is None:
        return None
    for spelling in (unquote(parts.path), parts.path):
        if spelling != path and spelling.rstrip("/") == path.rstrip("/"):
            return parts._replace(path=spelling)
    return None


def _make_local(message: Message, scope: Scope) -> None:
    parts = _location(message, scope)
    if parts and parts.netloc:
        # Of `//evil.example` browsers would make another site.
        path = "/" + parts.path.lstrip("/\\")
        MutableHeaders(scope=message)["location"] = urlunsplit(("", "", path, *parts[3:]))
