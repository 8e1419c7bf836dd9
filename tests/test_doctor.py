"""scripts/doctor names what is wrong with a site, and only that: sites broken on purpose, for real.

They stand in this process: the edge with a changed copy of the template, the real handler, real
hosts. Whatever is broken, the set of failed checks is the whole set.
"""

import asyncio
import itertools
import json
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from functions.app import handler
from functions.contract.session import SAMPLE_SECRET
from scripts.checkup import examination, redirects, sockets, stickiness
from scripts.checkup.checks import CHECKS, FILES, PAGES, REDIRECTS, SOCKETS, TALK, WHO
from scripts.checkup.examination import Check, examine
from scripts.checkup.finding import FAILED, OK, SKIPPED, Failure, Finding
from scripts.checkup.reach import UnreachableError, reach
from scripts.checkup.report import Report
from scripts.checkup.site import Address, Site
from scripts.local.function import Function
from scripts.local.origin_request import OriginRequest
from scripts.local.origins import FunctionOrigin
from scripts.local.proxy import Proxy
from scripts.local.refusal import RefusedError
from scripts.local.template import FUNCTION, SOCKET_HOST, Template, load
from socket_host import namespace
from socket_host.events.chat import Chat as Events
from socket_host.namespace import Namespace
from tests.development import start_development
from tests.edges import PATIENCE, ROOT, TEMPLATE, RunningEdge, running
from tests.hosts import serving, url
from tests.tls import https

Result = dict[str, Any]
Change = Callable[[str, Result], Result]

CORS_ONLY = "59781a5b-3903-41f3-afcb-af62929ccde1"  # forwards neither cookies nor queries
NO_ENCODING = "b2884449-e4de-46a7-ac36-70bc7f1ddd6d"  # CachingOptimizedForUncompressedObjects


class Pages:
    """The real handler, called with events in a thread of its own, as Lambda does in a process."""

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
    """Socket hosts that take turns, request by request: a load balancer without stickiness."""

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
    """A healthy site, but for what is given: pages, hosts and the edge in front of them."""
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
    """A copy of the project's template in which one behaviour has other properties, or is new."""
    document, behaviours = _document()
    matching = [b for b in behaviours if b.get("PathPattern", "*") == pattern]
    if not matching:
        sockets = next(b for b in behaviours if b.get("PathPattern") == "/socket.io")
        matching = [dict(sockets, PathPattern=pattern)]
        _config(document)["CacheBehaviors"][:0] = matching
    matching[0].update(properties)
    return Template.parse(yaml.safe_dump(document))


def without(*patterns: str) -> Template:
    """A copy of the project's template that lacks behaviours."""
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


class Findings:
    """What was found."""

    def __init__(self, findings: list[Finding]) -> None:
        self._findings = {finding.check: finding for finding in findings}

    def with_outcome(self, outcome: str) -> set[str]:
        return {name for name, f in self._findings.items() if f.outcome == outcome}

    @property
    def failed(self) -> set[str]:
        return self.with_outcome(FAILED)

    def words(self, check: str) -> str:
        finding = self._findings[check]
        return f"{finding.seen} {finding.why} {finding.do}"


async def examined(
    address: str | Address, *parts: str, tls: Any = True, patience: float = PATIENCE
) -> Findings:
    """Examine a site, wholly or in parts."""
    address = Address.parse(address) if isinstance(address, str) else address
    async with Site(address, tls=tls, patience=patience) as visited:
        await reach(visited)
        checks = [check for check in CHECKS if not parts or check.part in parts]
        return Findings(await examine(visited, checks))


@pytest.mark.parametrize("transport", ["fast", "stock"])
async def test_healthy(tmp_path: Path, transport: str) -> None:
    """Of a healthy site all is ok but what only https can have; and nothing stays behind there."""
    async with site(tmp_path, transport=transport) as edge:
        findings = await examined(edge.url)
        await everybody_gone(edge)
    assert findings.failed == set()
    assert findings.with_outcome(SKIPPED) == {"hsts", "https"}
    with closing(sqlite3.connect(tmp_path / "rooms.sqlite3")) as log:
        assert log.execute("SELECT * FROM message").fetchall() == []


async def everybody_gone(edge: RunningEdge) -> None:
    """Wait until the host has no connection left."""
    (address,) = cast(Hosts, edge.origins[SOCKET_HOST]).addresses
    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession(address) as http:
        connections = -1
        while connections != 0:
            async with http.get("/health") as answer:
                connections = (await answer.json())["connections"]


async def test_scripts_dev(tmp_path: Path) -> None:
    """The command passes scripts/dev: a table, and exit status 0."""
    with start_development(tmp_path) as development:
        status, said, _ = await doctor(development.url)
    assert status == 0, said
    assert "  ok       by-upgrade           Connected in" in said
    assert "0 FAILED, 2 skipped." in said
    assert "\x1b" not in said


async def doctor(*arguments: str) -> tuple[int | None, str, str]:
    """Run the command; return its exit status and what it said on stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.checkup", *arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(3 * PATIENCE):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_json_of_a_broken_site(tmp_path: Path) -> None:
    """With --json a program reads what failed; the exit status is 1."""
    async with site(tmp_path, change=drop("x-content-type-options")) as edge:
        status, said, _ = await doctor("--json", edge.url)
    report = json.loads(said)
    assert status == 1
    assert report["healthy"] is False
    assert [c["check"] for c in report["checks"] if c["outcome"] == FAILED] == ["nosniff"]


def drop(*names: str, below: str = "/") -> Change:
    """The function as it would be without some headers."""

    def change(path: str, result: Result) -> Result:
        if path.startswith(below):
            result["headers"] = {k: v for k, v in result["headers"].items() if k not in names}
        return result

    return change


async def test_left_out(tmp_path: Path) -> None:
    """What a site means to do otherwise is left out by --skip, and then nothing is wrong."""
    async with site(tmp_path, template=behaving("/health")) as edge:
        assert (await examined(edge.url)).failed == {"health"}
        status, said, _ = await doctor("--skip", "health", edge.url)
    assert status == 0
    assert "skipped  health" in said


# The edge.


async def test_no_post(tmp_path: Path) -> None:
    """A behaviour that lists no POST is named, with the list that should stand there."""
    async with site(tmp_path, template=behaving("/socket.io/*", AllowedMethods=None)) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"post"}
    words = findings.words("post")
    assert "POST /socket.io/ answered 403" in words
    assert "List POST in AllowedMethods of the behaviour /socket.io/* in infra/template" in words
    assert {"by-polling", "by-upgrade"} <= findings.with_outcome(SKIPPED)


async def test_no_cookies(tmp_path: Path) -> None:
    """A policy that forwards everything but cookies is told from secrets that differ."""
    template = Template.parse(TEMPLATE)
    behaviours = tuple(
        replace(b, policy=replace(b.policy, cookies=False)) if b.origin == SOCKET_HOST else b
        for b in template.behaviours
    )
    async with site(tmp_path, template=replace(template, behaviours=behaviours)) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"session"}
    assert "The page's cookie does not reach the host" in findings.words("session")
    assert "OriginRequestPolicyId is AllViewer." in findings.words("session")


async def test_no_query(tmp_path: Path) -> None:
    """A policy that forwards neither queries nor cookies to the host is named as that."""
    template = behaving("/socket.io/*", OriginRequestPolicyId=CORS_ONLY)
    async with site(tmp_path, template=template) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"socket"}
    assert "the host does not see the query" in findings.words("socket")
    assert "must forward queries, cookies" in findings.words("socket")


@pytest.mark.parametrize(
    ("missing", "failed"),
    [
        (("/socket.io", "/socket.io/*"), {"socket", "socket-no-slash"}),
        (("/socket.io",), {"socket-no-slash"}),
    ],
)
async def test_no_behaviour(tmp_path: Path, missing: tuple[str, ...], failed: set[str]) -> None:
    """A socket path that the function answers means that a behaviour is missing: which one."""
    async with site(tmp_path, template=without(*missing)) as edge:
        findings = await examined(edge.url)
    assert findings.failed == failed
    words = findings.words("socket-no-slash")
    assert "/socket.io answered 421" in words
    assert "infra/template.yaml lacks the behaviour /socket.io," in words


async def test_pages_get_no_query(tmp_path: Path) -> None:
    """Pages that get nothing of what visitors send are found out by what that does to them."""
    template = behaving("*", OriginRequestPolicyId=CORS_ONLY)
    async with site(tmp_path, template=template) as edge:
        findings = await examined(edge.url, PAGES, REDIRECTS)
    assert findings.failed == {"compressed", "session-kept", "trailing-slash"}
    assert "AllViewerExceptHostHeader" in findings.words("session-kept")
    assert "AllViewerExceptHostHeader" in findings.words("trailing-slash")


async def test_files_not_compressed(tmp_path: Path) -> None:
    """An edge that keeps Accept-Encoding to itself makes the first visit heavy."""
    async with site(tmp_path, template=behaving("/static/*", CachePolicyId=NO_ENCODING)) as edge:
        findings = await examined(edge.url, PAGES, FILES)
    assert findings.failed == {"files-compressed"}


async def test_no_forms(tmp_path: Path) -> None:
    """A default behaviour that lists no POST is named."""
    async with site(tmp_path, template=behaving("*", AllowedMethods=["GET", "HEAD"])) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"post-kept"}
    assert "DefaultCacheBehavior" in findings.words("post-kept")


async def test_no_websockets(tmp_path: Path) -> None:
    """Where no websocket gets through, what can only poll is examined all the same."""
    async with site(tmp_path, websockets=False) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"websocket"}
    assert "by-polling" in findings.with_outcome(OK)


# The host.


async def test_host_down(tmp_path: Path) -> None:
    """Without a host pages are ok, and one sentence says what does not run and where to look."""
    async with site(tmp_path, hosts=0) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"socket", "socket-no-slash"}
    assert 'answered 502: "The socket host rests."' in findings.words("socket")
    assert "the edge got no answer from the socket host" in findings.words("socket")


@pytest.mark.parametrize("origins", [("https://other.test",), ()], ids=["another", "unset"])
async def test_another_public_origin(origins: tuple[str, ...], tmp_path: Path) -> None:
    """A host that knows the site by another origin refuses its own pages: which setting it is."""
    async with site(tmp_path, origins=origins) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"own-origin"}
    assert f"The host's PUBLIC_ORIGIN must name {edge.url} " in findings.words("own-origin")


async def test_no_origin_check(tmp_path: Path) -> None:
    """A host that lets every site's pages in is found out."""
    async with site(tmp_path, origins=None) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"foreign-origin"}


async def test_no_session_check(tmp_path: Path) -> None:
    """A host that lets in whoever has no session is found out."""
    async with site(tmp_path, session_secret=None) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"no-session"}


async def test_two_secrets(tmp_path: Path) -> None:
    """A host with another secret than the function's is told from cookies that get lost."""
    async with site(tmp_path, session_secret="another-secret-of-enough-characters") as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"session"}
    assert "different SESSION_SECRETs" in findings.words("session")


async def test_not_sticky(tmp_path: Path) -> None:
    """Two hosts that take turns are found out, and the load balancer's setting is named."""
    async with site(tmp_path, hosts=2) as edge:
        findings = await examined(edge.url, PAGES, SOCKETS, WHO)
    assert findings.failed == {"sticky"}
    assert "stickiness.enabled: true" in findings.words("sticky")


class StickyHosts(Hosts):
    """A load balancer that gives clients a cookie, and sends whoever has it to the same host."""

    async def answer(self, viewer: web.BaseRequest, request: OriginRequest) -> web.Response:
        place = viewer.cookies.get("place") or str(next(self._turn) % len(self.addresses))
        address = self.addresses[int(place)] + request.target
        async with (
            aiohttp.ClientSession() as http,
            http.request(request.method, address, data=request.body) as answer,
        ):
            response = web.Response(status=answer.status, body=await answer.read())
        response.set_cookie("place", place)
        return response


async def test_sticky(tmp_path: Path) -> None:
    """Two hosts behind a load balancer that keeps clients to theirs by a cookie are ok."""
    async with (
        serving(tmp_path) as one,
        serving(tmp_path) as other,
        Proxy() as proxy,
    ):
        balancer = StickyHosts(proxy)
        balancer.addresses = [url(one), url(other)]
        async with (
            running(origins={SOCKET_HOST: balancer}) as edge,
            Site(Address.parse(edge.url), patience=PATIENCE) as visited,
        ):
            assert await stickiness.sticky(visited)


class Silent(Events):
    """Events of which one is never answered, and one tells nobody."""

    async def on_history(self, sid: str, data: Any) -> Any:
        await asyncio.Event().wait()

    async def on_typing(self, sid: str, typing: Any) -> Any:
        return {}


async def test_events_unanswered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event without an ack, and one that others do not hear, are found out."""
    monkeypatch.setattr(namespace, "_SETTLE_SECONDS", 0.1)
    async with site(tmp_path, events=Silent) as edge:
        findings = await examined(edge.url, TALK, patience=4)
    assert findings.failed == {"by-polling", "by-websocket", "by-upgrade", "others-hear"}
    assert "The event history got no ack" in findings.words("by-polling")
    assert "4 heard nothing" in findings.words("others-hear")


async def test_events_of_ones_own(tmp_path: Path) -> None:
    """A site whose events are others than the example's is healthy: an ack is an ack."""
    async with site(tmp_path, events=Namespace) as edge:
        findings = await examined(edge.url)
    assert findings.failed == set()
    assert "others-hear" in findings.with_outcome(SKIPPED)


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(handler: Handler, *, patience: float = PATIENCE) -> AsyncIterator[Site]:
    """A site where everything is answered by one handler."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app, host="127.0.0.1") as server:
        address = Address.parse(str(server.make_url("/")))
        async with Site(address, patience=patience) as visited:
            yield visited


async def test_session_out_of_a_cache() -> None:
    """Two clients that get the same session have it from a cache, which is found out."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(text='0{"sid":"always-the-same"}')

    async with answering(handler) as visited:
        with pytest.raises(Failure, match="gave two clients the same session"):
            await sockets.with_slash(visited)


@pytest.mark.parametrize("text", ["<h1>Welcome</h1>", "0{", '0{"sid":7', "0[]"])
async def test_no_socket_host(text: str) -> None:
    """Whatever else answers at the socket path is not taken for a socket host."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=text)

    async with answering(handler) as visited:
        with pytest.raises(Failure, match="not how a socket host answers"):
            await sockets.with_slash(visited)


async def test_host_full() -> None:
    """A host that takes nobody any more is told from one that is not there."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=503, text="This host is full.")

    async with answering(handler) as visited:
        with pytest.raises(Failure, match=r'503: "This host is full\.": no socket host takes new'):
            await sockets.with_slash(visited)


async def test_websocket_that_hangs_up() -> None:
    """A websocket that is closed at once is no session."""

    async def handler(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        await websocket.close()
        return websocket

    async with answering(handler) as visited:
        with pytest.raises(Failure, match="closed again without a word"):
            await sockets.websocket(visited)
        with pytest.raises(Failure, match="A websocket opened at /"):
            await sockets.websocket_elsewhere(visited)


async def test_websocket_left_hanging() -> None:
    """An upgrade at a wrong path that nobody ever answers is found out."""

    async def handler(request: web.Request) -> web.Response:
        await asyncio.sleep(PATIENCE)
        return web.Response()

    async with answering(handler, patience=0.2) as visited:
        with pytest.raises(Failure, match="got no answer"):
            await sockets.websocket_elsewhere(visited)


# The function.


async def test_function_down(tmp_path: Path) -> None:
    """Pages that fail are one failure, whose own words cannot steer the terminal, nor fill it."""

    def change(path: str, result: Result) -> Result:
        body = "\x1b[2J\n<b>bad</b> " + "x" * 10_000
        return {"statusCode": 500, "headers": {"content-type": "text/html"}, "body": body}

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"page"}
    words = findings.words("page")
    assert 'GET / answered 500: " [2J bad xxx' in words
    assert words.isprintable()
    assert len(words) < 500


async def test_redirect_loop(tmp_path: Path) -> None:
    """Two rules that undo each other's redirect are shown as the circle that they make."""

    def change(path: str, result: Result) -> Result:
        back = {"statusCode": 308, "headers": {"location": "/about/"}}
        return back if path == "/about" else result

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"one-redirect"}
    assert "in a circle: /about to /about/ to /about" in findings.words("one-redirect")


async def test_redirect_to_the_functions_host(tmp_path: Path) -> None:
    """A redirect with the API's own host name in it, as frameworks write them, is found out."""

    def change(path: str, result: Result) -> Result:
        if location := result["headers"].get("location"):
            result["headers"]["location"] = f"https://pages.invalid{location}"
        return result

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url, REDIRECTS)
    assert findings.failed == {"trailing-slash", "stays-here"}
    assert "which is more than a path" in findings.words("trailing-slash")


async def test_two_redirects(tmp_path: Path) -> None:
    """A slash taken away one at a time is found out; a page that leads elsewhere is all right."""

    def change(path: str, result: Result) -> Result:
        if path == "/about":
            return {"statusCode": 303, "headers": {"location": "/"}}
        if path == "/about//":
            result["headers"]["location"] = "/about/"
        return result

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url, REDIRECTS)
    assert findings.failed == {"one-redirect"}
    assert "takes 3 redirects: /about// to /about/ to /about to /" in findings.words("one-redirect")


@pytest.mark.parametrize("status", [200, 302])
async def test_trailing_slash_ignored(tmp_path: Path, status: int) -> None:
    """No redirect, or one that makes a GET of a POST, is found out."""

    def change(path: str, result: Result) -> Result:
        return result | {"statusCode": status} if result["statusCode"] == 308 else result

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url, REDIRECTS)
    assert findings.failed == {"trailing-slash", "post-kept"}


async def test_missing_page_that_is_none(tmp_path: Path) -> None:
    """An error page that says 200 is found out."""

    def change(path: str, result: Result) -> Result:
        return result | {"statusCode": 200} if result["statusCode"] == 404 else result

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url, PAGES)
    assert findings.failed == {"not-found"}


async def test_static_files_with_cookies(tmp_path: Path) -> None:
    """A static file that sets a cookie, which a cache would hand to everybody, is found out."""

    def change(path: str, result: Result) -> Result:
        return result | {"cookies": ["a=1"]} if path.startswith("/static/") else result

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url, PAGES, FILES)
    assert findings.failed == {"files-cookieless"}


@pytest.mark.parametrize("location", ["//evil.example", "/\\evil.example", "/\t/evil.example"])
async def test_open_redirect(tmp_path: Path, location: str) -> None:
    """A Location that a browser takes for another site is found out, however it is written."""

    def change(path: str, result: Result) -> Result:
        if "evil.example" in path:
            result["headers"]["location"] = location
        return result

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url, REDIRECTS)
    assert findings.failed == {"stays-here"}


async def test_static_files_not_kept(tmp_path: Path) -> None:
    """Static files without cache headers are found out."""
    change = drop("cache-control", below="/static/")
    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"files-kept"}
    assert "says Cache-Control: (nothing), not immutable" in findings.words("files-kept")


async def test_no_security_headers(tmp_path: Path) -> None:
    """Pages without security headers are found out, each with what it lets happen."""
    change = drop("content-security-policy", "x-content-type-options")
    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"csp", "nosniff"}
    assert "/ has no Content-Security-Policy" in findings.words("csp")
    assert "functions/web/headers.py" in findings.words("nosniff")


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("default-src 'self'; frame-ancestors 'none'", "inline script that its own policy forbids"),
        ("script-src 'self' 'unsafe-inline'; frame-ancestors 'none'", "from 'unsafe-inline'"),
        ("default-src 'none'", "may be framed by any site"),
    ],
)
async def test_another_policy(tmp_path: Path, policy: str, words: str) -> None:
    """A policy that forbids the page's own script, any that is too loose, is found out."""

    def change(path: str, result: Result) -> Result:
        result["headers"]["content-security-policy"] = policy
        return result

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url, PAGES)
    assert findings.failed == {"csp"}
    assert words in findings.words("csp")


async def test_pages_cached(tmp_path: Path) -> None:
    """Pages out of a cache make everybody the same visitor, which is found out."""
    cache: dict[str, Result] = {}

    def change(path: str, result: Result) -> Result:
        return cache.setdefault(path, result)

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url, PAGES)
    assert {"not-cached"} <= findings.failed
    assert "got the same session" in findings.words("not-cached")


async def test_cookie_that_scripts_can_read(tmp_path: Path) -> None:
    """A session cookie without one of its flags is found out, and the flag is named."""

    def change(path: str, result: Result) -> Result:
        cookies = result.get("cookies", [])
        result["cookies"] = [cookie.replace("; HttpOnly", "") for cookie in cookies]
        return result

    async with site(tmp_path, change=change) as edge:
        findings = await examined(edge.url, PAGES)
    assert findings.failed == {"session-cookie"}
    assert "is not HttpOnly." in findings.words("session-cookie")


# https.


def secure(path: str, result: Result) -> Result:
    """The function outside development: its cookie is Secure."""
    result["cookies"] = [f"{cookie}; Secure" for cookie in result.get("cookies", [])]
    return result


async def test_https(tmp_path: Path) -> None:
    """Over https everything is ok, HSTS and the cookie's Secure among it."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    async with AsyncExitStack() as stack:
        edge = await stack.enter_async_context(
            site(tmp_path, change=secure, origins=(f"https://localhost:{port}",))
        )
        _, trust = await stack.enter_async_context(https(tmp_path, edge.port, listener))
        findings = await examined(f"https://localhost:{port}", tls=trust)
    assert findings.failed == set()
    assert {"hsts", "session-cookie"} <= findings.with_outcome(OK)


async def test_https_that_gives_its_session_away(tmp_path: Path) -> None:
    """A cookie that is not Secure, no HSTS, and a plain door that stays open, are found out."""
    change = drop("strict-transport-security")
    async with site(tmp_path, change=change) as edge, https(tmp_path, edge.port) as (port, trust):
        address = replace(Address.parse(f"https://localhost:{port}"), plain=edge.url)
        findings = await examined(address, PAGES, REDIRECTS, tls=trust)
    assert findings.failed == {"session-cookie", "https", "hsts"}
    assert "is not Secure." in findings.words("session-cookie")
    assert "redirect-to-https" in findings.words("https")


async def test_plain_door() -> None:
    """Plain http that leads to https is ok, as is none at all."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=301, headers={"Location": f"https://a.test{request.path}"})

    async with answering(handler) as visited:
        visited.address = Address("https://a.test", visited.address.origin)
        assert await redirects.http_to_https(visited) == "Plain http leads to https."
        visited.address = Address("https://a.test", f"http://127.0.0.1:{unused_port()}")
        assert await redirects.http_to_https(visited) == "Nobody answers plain http."


async def test_secure_cookie_over_http(tmp_path: Path) -> None:
    """A Secure cookie at a plain address, which browsers do not send back, is found out."""
    async with site(tmp_path, change=secure) as edge:
        findings = await examined(edge.url, PAGES)
    assert findings.failed == {"session-cookie"}
    assert "STAGE=development" in findings.words("session-cookie")


# Nobody there.


async def unreachable(address: str, *, patience: float = PATIENCE) -> str:
    """Return the sentence that says why nothing can be examined."""
    async with Site(Address.parse(address), patience=patience) as visited:
        with pytest.raises(UnreachableError) as raised:
            await reach(visited)
    return str(raised.value)


async def test_refused() -> None:
    """Where nothing listens the command says so, and its exit status is 2."""
    address = f"http://127.0.0.1:{unused_port()}"
    status, said, complaint = await doctor(address)
    assert (status, said) == (2, "")
    assert complaint == (
        f"{address} could not be reached: the connection was refused: nothing listens there. "
        "Is the site running?\n"
    )


async def test_refused_as_json() -> None:
    """With --json that sentence is there for a program too."""
    status, said, _ = await doctor("--json", f"http://127.0.0.1:{unused_port()}")
    assert status == 2
    assert "nothing listens there" in json.loads(said)["unreachable"]


def unused_port() -> int:
    """A port where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def test_unknown_name() -> None:
    """A name that nobody has is said to be one."""
    assert "the name nobody.invalid is not known" in await unreachable("http://nobody.invalid")


async def test_certificate_not_trusted(tmp_path: Path) -> None:
    """A certificate that cannot be believed ends the examination, with the reason."""
    async with running() as edge, https(tmp_path, edge.port) as (port, _):
        said = await unreachable(f"https://localhost:{port}")
    assert "its certificate is not to be trusted: self-signed certificate" in said


async def test_https_of_an_http_site() -> None:
    """An https address where plain http is spoken is taken for a mistyped one."""
    async with running() as edge:
        said = await unreachable(f"https://localhost:{edge.port}")
    assert "it does not speak TLS" in said
    assert "Is it an address that begins with http://?" in said


async def test_silence() -> None:
    """Whoever takes the connection and says nothing is given up after a time."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert "no answer within 0.1 s" in await unreachable(address, patience=0.1)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"])
async def test_no_http(answer: bytes) -> None:
    """Whoever speaks something else than HTTP, or hangs up, makes a sentence and no trace."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        said = await unreachable(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert said.endswith("Is it an https:// address?")


@pytest.mark.parametrize("text", ["localhost:3000", "ftp://a.test", "http://a.test/x", "http://"])
def test_no_address(text: str) -> None:
    """What is no site's address is refused with a sentence."""
    with pytest.raises(ValueError, match="address"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("text", "origin", "plain"),
    [
        ("https://D1.CloudFront.net/", "https://d1.cloudfront.net", "http://d1.cloudfront.net"),
        ("https://a.test:443", "https://a.test", "http://a.test"),
        ("https://a.test:8443", "https://a.test:8443", None),
        ("http://localhost:3000/", "http://localhost:3000", None),
    ],
)
def test_address(text: str, origin: str, plain: str | None) -> None:
    """An address is taken as browsers write its origin."""
    assert Address.parse(text) == Address(origin, plain)


# The examination and its report.


async def seen(site: Site) -> str:
    """All is well."""
    return "Seen."


async def refused(site: Site) -> str:
    """All is not well."""
    raise Failure("Seen.", why="So.", do="That.")


async def hanging(site: Site) -> str:
    """It never ends."""
    await asyncio.Event().wait()
    return ""


async def stumbling(site: Site) -> str:
    """It meets what nobody thought of."""
    raise KeyError("sid")


async def outcomes(*checks: Check, left_out: tuple[str, ...] = ()) -> list[str]:
    """The outcomes of checks that ask nothing of the site."""
    async with Site(Address.parse("http://a.test"), patience=0) as visited:
        return [finding.outcome for finding in await examine(visited, checks, left_out)]


async def test_each_check_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that hangs or stumbles has failed, and the others go on."""
    monkeypatch.setattr(examination, "GRACE", 0.05)
    checks = [Check("", f.__name__, f) for f in (hanging, stumbling, seen)]
    assert await outcomes(*checks) == [FAILED, FAILED, OK]


async def test_needs() -> None:
    """What builds on a failed check is skipped; not what builds on one that was left out."""
    checks = (Check("", "a", refused), Check("", "b", seen, ("a",)), Check("", "c", seen, ("b",)))
    assert await outcomes(*checks) == [FAILED, SKIPPED, OK]
    assert await outcomes(*checks, left_out=("a",)) == [SKIPPED, OK, OK]


def test_checks() -> None:
    """Every check has a name of its own, a promise in a sentence, and needs only earlier ones."""
    earlier: set[str] = set()
    for check in CHECKS:
        assert check.name not in earlier
        assert check.promise.endswith((".", ")."))
        assert set(check.needs) <= earlier
        earlier.add(check.name)


REPORT = Report(
    "http://a.test",
    [
        Finding("Pages", "page", OK, "All is well."),
        Finding("Pages", "csp", FAILED, "It is missing. " * 4, "It matters. " * 6, "Do this."),
    ],
    1.25,
)


def test_plain_table() -> None:
    """Where no terminal is, each sentence is one line, without colours, for grep."""
    lines = REPORT.to_text().splitlines()
    assert "  ok       page                 All is well." in lines
    assert any(line.strip() == "What to do: Do this." for line in lines)
    assert lines[-1] == "2 checks in 1.2 s: 1 ok, 1 FAILED, 0 skipped."


def test_table_on_a_terminal() -> None:
    """On a terminal the table fits its width, and outcomes have colours."""
    assert max(map(len, REPORT.to_text(width=80).splitlines())) <= 80
    assert "\x1b[1;31mFAILED" in REPORT.to_text(width=80, colour=True)
