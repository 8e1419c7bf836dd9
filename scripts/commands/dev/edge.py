"""The local edge: routes requests by the template's behaviours, as CloudFront would.

It also enforces the allowed methods, and which headers, cookies and query strings reach an origin.
It does not cache, compress or redirect to https.
"""

import ipaddress
import logging
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError

from scripts.commands.dev.behaviours import Behaviour, choose
from scripts.commands.dev.origin_request import MAX_BODY, OriginRequest
from scripts.commands.dev.origins import Origin
from scripts.commands.dev.refusal import RefusedError
from scripts.commands.dev.template import FUNCTION, Template

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

# The last two are the names that containers have for their engine's machine.
_THIS_MACHINE = ("localhost", "host.docker.internal", "host.containers.internal")

MAX_FIELD = 32 * 1024  # bytes of a request line or a header: CloudFront's limit for all of them

_log = logging.getLogger(__name__)
# Not logged: the client gets an error that says what is wrong with its request.
_log.addFilter(
    lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
)


class Edge:
    """Answers viewers' requests; `template` may be replaced at any time."""

    def __init__(
        self,
        template: Template,
        origins: Mapping[str, Origin],
        names: Collection[str] | None = None,
    ) -> None:
        """`names` are the site's host names, besides those of this machine; None allows any."""
        self.template = template
        self._origins = origins
        self._names = names

    async def answer(self, viewer: web.BaseRequest) -> web.StreamResponse:
        """Return the response of a request's origin, or a refusal."""
        try:
            return await self._answer(viewer)
        except RefusedError as refusal:
            return refusal.response(viewer.headers.get("Accept", ""))

    async def _answer(self, viewer: web.BaseRequest) -> web.StreamResponse:
        self._check_name(viewer.headers.get("Host", ""))
        path, query = _target(viewer)
        behaviour = choose(self.template.behaviours, path)
        origin = self._origins[behaviour.origin]
        upgrades = _wants_websocket(viewer)
        if upgrades and not origin.sockets:
            raise RefusedError(
                404, f"No websocket can be opened at {path}: a function answers there.", close=True
            )
        _check_method(viewer, behaviour)
        body = b"" if upgrades else await read_body(viewer)
        if body and viewer.method == "GET":
            raise RefusedError(403, "CloudFront does not let a GET request with a body through.")
        policy = behaviour.policy
        forwarded = policy.forwarded(list(viewer.headers.items()))
        own = _own_headers(viewer, upgrades, to_function=behaviour.origin == FUNCTION)
        request = OriginRequest(
            viewer.method,
            path,
            query if policy.query else "",
            [*(h for h in forwarded if h[0].lower() not in own), *own.items()],
            body,
            viewer.remote or "",
            self.template.read_timeouts[behaviour.origin],
            upgrades,
        )
        return await origin.answer(viewer, request)

    def _check_name(self, host: str) -> None:
        """Refuse other names: their owners could make them resolve here, and read pages."""
        name = re.sub(r":\d*$", "", host).lower().rstrip(".")
        if self._names is None or name in ("", *self._names) or _is_local(name):
            return
        raise RefusedError(
            403,
            f"{name} is not a name of this site. If you reach it by that name, as through a "
            f"tunnel, start it with PUBLIC_ORIGIN=https://{host} scripts/dev",
        )


def _is_local(name: str) -> bool:
    """Whether a host name always means this machine, or is an IP address."""
    if name in _THIS_MACHINE or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


@asynccontextmanager
async def serving(answer: Answer, listeners: Iterable[socket.socket]) -> AsyncIterator[None]:
    """Serve connections to the listening sockets."""
    server = web.Server(
        answer,
        handler_cancellation=True,  # when the viewer is gone, a poll must not take any messages
        auto_decompress=False,
        lingering_time=1.0,  # seconds to read the rest of a refused body, so the refusal arrives
        access_log=None,
        max_line_size=MAX_FIELD,
        max_field_size=MAX_FIELD,
        logger=_log,
    )
    runner = web.ServerRunner(server, shutdown_timeout=0.5)
    await runner.setup()
    for listener in listeners:
        await web.SockSite(runner, listener, backlog=1024).start()
    try:
        yield
    finally:
        await runner.cleanup()


def _target(viewer: web.BaseRequest) -> tuple[str, str]:
    """Return path and query as the viewer wrote them; a proxy's client sends a whole URL."""
    target = re.sub(r"^https?://[^/?]*", "", viewer.raw_path, flags=re.IGNORECASE)
    path, _, query = target.partition("#")[0].partition("?")
    if not (path.startswith("/") and target.isascii()):
        raise RefusedError(400, f"{target!a} is not a path.", close=True)
    return path, query


def _wants_websocket(viewer: web.BaseRequest) -> bool:
    tokens = viewer.headers.get("Connection", "").lower().split(",")
    upgrade = viewer.headers.get("Upgrade", "").lower()
    return upgrade == "websocket" and "upgrade" in (token.strip() for token in tokens)


def _check_method(viewer: web.BaseRequest, behaviour: Behaviour) -> None:
    if viewer.method not in behaviour.methods:
        raise RefusedError(
            403,
            f"The behaviour {behaviour.pattern} does not allow {viewer.method}, only "
            f"{', '.join(sorted(behaviour.methods))}. See its AllowedMethods in the template.",
        )


async def read_body(viewer: web.BaseRequest) -> bytes:
    """Return a request's body; raise RefusedError for one that is too large or malformed."""
    if (viewer.content_length or 0) > MAX_BODY:
        raise _too_large()
    expects = viewer.headers.get("Expect", "").lower() == "100-continue"
    if expects and viewer.version >= HttpVersion11:
        await viewer.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = bytearray()
    try:
        async for chunk in viewer.content.iter_any():
            body += chunk
            if len(body) > MAX_BODY:
                raise _too_large()
    except web.RequestPayloadError as error:
        raise RefusedError(400, f"The body cannot be read: {error}.", close=True) from None
    return bytes(body)


def _too_large() -> RefusedError:
    return RefusedError(413, f"The body is larger than {MAX_BODY} bytes.", close=True)


def _own_headers(viewer: web.BaseRequest, upgrades: bool, *, to_function: bool) -> dict[str, str]:
    """Return the headers that the edge sets itself, by lower-case name."""
    addresses = [*viewer.headers.getall("X-Forwarded-For", []), viewer.remote or ""]
    headers = {"x-forwarded-for": ",".join(addresses)}
    host = viewer.headers.get("Host")
    if to_function and host:  # as the template's origin does if the site has a domain
        headers["x-forwarded-host"] = host
    if upgrades:
        headers |= {"connection": "Upgrade", "upgrade": "websocket"}
    return headers
