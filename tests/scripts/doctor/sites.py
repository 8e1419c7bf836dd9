"""Sites with real faults.

They run in this process: the edge with a changed template, the real handler, real hosts.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from functions.contract.session import SAMPLE_SECRET
from scripts.commands.dev.function import Function
from scripts.commands.dev.origin_request import OriginRequest
from scripts.commands.dev.origins import FunctionOrigin
from scripts.commands.dev.proxy import Proxy
from scripts.commands.dev.refusal import RefusedError
from scripts.commands.dev.template import FUNCTION, SOCKET_HOST, Template, load
from scripts.commands.doctor.site import Address, Site
from socket_host.namespace import Namespace
from tests.kit.hosts import serving, url
from tests.scripts.dev.edges import PATIENCE, TEMPLATE, RunningEdge, running
from tests.small_app.site import handler

Result = dict[str, Any]


Change = Callable[[str, Result], Result]


class Pages:
    """The real handler, called with events in a thread, as Lambda does in a process."""

    def __init__(self, change: Change) -> None:
        self._change = change
        self._thread = ThreadPoolExecutor(1, initializer=self._begin)

    def _begin(self) -> None:
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)

    def _call(self, event: Any) -> Any:
        return self._change(event["rawPath"], handler(event, None))

    async def invoke(self, event: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._call, event)

    def close(self) -> None:
        self._thread.submit(lambda: self._loop.close()).result()
        self._thread.shutdown()


class Hosts:
    """Socket hosts that take turns with each request: a load balancer without stickiness."""

    sockets = True

    def __init__(self, proxy: Proxy) -> None:
        self.addresses: list[str] = []
        self._proxy = proxy
        self._turn = itertools.count()

    async def answer(self, viewer: web.BaseRequest, request: OriginRequest) -> web.StreamResponse:
        if not self.addresses:
            raise RefusedError(502, "The socket host rests.")
        address = self.addresses[next(self._turn) % len(self.addresses)]
        return await self._proxy.answer(viewer, request, address)


@asynccontextmanager
async def site(
    folder: Path,
    *,
    template: Template | None = None,
    change: Change = lambda path, result: result,
    hosts: int = 1,
    websockets: bool = True,
    events: type[Namespace] | None = None,
    **settings: Any,
) -> AsyncIterator[RunningEdge]:
    """A healthy site, except for the given pages, hosts or edge."""
    async with AsyncExitStack() as stack:
        pages = Pages(change)
        stack.callback(pages.close)
        balancer = Hosts(await stack.enter_async_context(Proxy()))
        balancer.sockets = websockets
        origins = {FUNCTION: FunctionOrigin(cast(Function, pages)), SOCKET_HOST: balancer}
        edge = await stack.enter_async_context(running(template, origins))
        settings = {"session_secret": SAMPLE_SECRET, "origins": (edge.url,)} | settings
        for _ in range(hosts):
            host = await stack.enter_async_context(
                serving(folder, *([events] if events else []), **settings)
            )
            balancer.addresses.append(url(host))
        yield edge


def behaving(pattern: str, **properties: Any) -> Template:
    """A copy of the project's template with one behaviour changed or added."""
    document, behaviours = _document()
    matching = [b for b in behaviours if b.get("PathPattern", "*") == pattern]
    if not matching:
        sockets = next(b for b in behaviours if b.get("PathPattern") == "/socket.io")
        matching = [dict(sockets, PathPattern=pattern)]
        _config(document)["CacheBehaviors"][:0] = matching
    matching[0].update(properties)
    return Template.parse(yaml.safe_dump(document))


def without(*patterns: str) -> Template:
    """A copy of the project's template without some behaviours."""
    document, behaviours = _document()
    _config(document)["CacheBehaviors"] = [
        b for b in behaviours[:-1] if b["PathPattern"] not in patterns
    ]
    return Template.parse(yaml.safe_dump(document))


def _document() -> tuple[Any, list[dict[str, Any]]]:
    document = load(TEMPLATE)
    config = _config(document)
    return document, [*config["CacheBehaviors"], config["DefaultCacheBehavior"]]


def _config(document: Any) -> dict[str, Any]:
    resources = document["Resources"].values()
    edge = next(r for r in resources if r["Type"] == "AWS::CloudFront::Distribution")
    config: dict[str, Any] = edge["Properties"]["DistributionConfig"]
    return config


def drop(*names: str, below: str = "/") -> Change:
    """The function, without some response headers."""

    def change(path: str, result: Result) -> Result:
        if path.startswith(below):
            result["headers"] = {k: v for k, v in result["headers"].items() if k not in names}
        return result

    return change


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(handler: Handler, *, patience: float = PATIENCE) -> AsyncIterator[Site]:
    """A site on which one handler answers everything."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app, host="127.0.0.1") as server:
        address = Address.parse(str(server.make_url("/")))
        async with Site(address, patience=patience) as visited:
            yield visited


def secure(path: str, result: Result) -> Result:
    """The function outside development, with a Secure cookie."""
    result["cookies"] = [f"{cookie}; Secure" for cookie in result.get("cookies", [])]
    return result
