"""The local edge: routes requests by the template's behaviours, as CloudFront would.

It also enforces the allowed methods, and which headers, cookies and query strings reach an origin.
It does not cache, compress or redirect to https.
"""

import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from scripts.commands.dev.behaviours import Behaviour, choose
from scripts.commands.dev.origin_request import MAX_BODY, OriginRequest
from scripts.commands.dev.origins import Origin
from scripts.commands.dev.refusal import RefusedError
from scripts.commands.dev.template import Template

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Edge:
    """Answers viewers' requests; `template` may be replaced at any time."""

    def __init__(self, template: Template, origins: Mapping[str, Origin]) -> None:
        self.template = template
        self._origins = origins

    async def answer(self, viewer: web.BaseRequest) -> web.StreamResponse:
        """Return the response of a request's origin, or a refusal."""
        try:
            return await self._answer(viewer)
        except RefusedError as refusal:
            return refusal.response(viewer.headers.get("Accept", ""))

    async def _answer(self, viewer: web.BaseRequest) -> web.StreamResponse:
        path, query = _target(viewer)
        behaviour = choose(self.template.behaviours, path)
        origin = self._origins[behaviour.origin]
        upgrades = _wants_websocket(viewer)
        if upgrades and not origin.sockets:
            raise RefusedError(
                404, f"No websocket can be opened at {path}: a function answers there.", close=True
            )
        _check_method(viewer, behaviour)
        body = b"" if upgrades else await _read(viewer)
        if body and viewer.method == "GET":
            raise RefusedError(403, "CloudFront does not let a GET request with a body through.")
        policy = behaviour.policy
        request = OriginRequest(
            viewer.method,
            path,
            query if policy.query else "",
            [*policy.forwarded(list(viewer.headers.items())), *_own_headers(viewer, upgrades)],
            body,
            viewer.remote or "",
            self.template.read_timeouts[behaviour.origin],
            upgrades,
        )
        return await origin.answer(viewer, request)


@asynccontextmanager
async def serving(answer: Answer, listeners: Iterable[socket.socket]) -> AsyncIterator[None]:
    """Serve connections to the listening sockets."""
    server = web.Server(
        answer,
        handler_cancellation=True,  # when the viewer is gone, a poll must not take any messages
        auto_decompress=False,
        lingering_time=1.0,  # seconds to read the rest of a refused body, so the refusal arrives
        access_log=None,
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


async def _read(viewer: web.BaseRequest) -> bytes:
    if (viewer.content_length or 0) > MAX_BODY:
        raise _too_large()
    if viewer.headers.get("Expect", "").lower() == "100-continue":
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


def _own_headers(viewer: web.BaseRequest, upgrades: bool) -> list[tuple[str, str]]:
    forwarded = [*viewer.headers.getall("X-Forwarded-For", []), viewer.remote or ""]
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket")] if upgrades else []
    return [("X-Forwarded-For", ",".join(forwarded)), *upgrade]
