"""Doctor reports faults of the socket hosts: exactly the affected checks fail."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from functions.contract.session import SAMPLE_SECRET
from scripts.commands.dev.origin_request import OriginRequest
from scripts.commands.dev.proxy import Proxy
from scripts.commands.dev.template import SOCKET_HOST
from scripts.commands.doctor import sockets, stickiness
from scripts.commands.doctor.checks import PAGES, SOCKETS, TALK, WHO
from scripts.commands.doctor.finding import SKIPPED, Failure
from scripts.commands.doctor.site import Address, Broadcast, Site
from socket_host import namespace
from socket_host.namespace import Namespace
from tests.kit.hosts import serving, token, url
from tests.scripts.dev.edges import PATIENCE, running
from tests.scripts.doctor.findings import examined
from tests.scripts.doctor.sites import (
    Hosts,
    answering,
    site,
)


async def test_host_down(tmp_path: Path) -> None:
    """Without a host the pages pass, and one sentence says where to look."""
    async with site(tmp_path, hosts=0) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"socket", "socket-no-slash"}
    assert 'answered 502: "The socket host rests."' in findings.words("socket")
    assert "the edge got no answer from the socket host" in findings.words("socket")


class Hall(Namespace):
    """A site's only namespace."""

    namespace = "/hall"


async def test_site_without_the_main_namespace(tmp_path: Path) -> None:
    """Doctor connects to the given namespace, and says how to give one."""
    async with site(tmp_path, events=Hall) as edge:
        told = await examined(edge.url, WHO, TALK, namespace="/hall")
        assert told.failed == set()
        untold = await examined(edge.url, WHO)
        assert "--namespace /PATH" in untold.words("session")


@pytest.mark.parametrize("origins", [("https://other.test",), ()], ids=["another", "unset"])
async def test_another_public_origin(origins: tuple[str, ...], tmp_path: Path) -> None:
    """A host with another PUBLIC_ORIGIN refuses its own pages; the setting is named."""
    async with site(tmp_path, origins=origins) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"own-origin"}
    assert f"The host's PUBLIC_ORIGIN must name {edge.url} " in findings.words("own-origin")


async def test_no_origin_check(tmp_path: Path) -> None:
    """A host that accepts pages of every site is found."""
    async with site(tmp_path, origins=None) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"foreign-origin"}


async def test_no_session_check(tmp_path: Path) -> None:
    """A host that accepts clients without a session is found."""
    async with site(tmp_path, session_secret=None) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"no-session"}


class Desk(Namespace):
    """Admits only staff."""

    namespace = "/desk"

    async def on_connect(self, sid: str, environ: Any, auth: Any) -> bool:
        return self.visitor(sid).has("role=staff")


async def test_namespace_for_some(tmp_path: Path) -> None:
    """If a namespace does not admit the visitor, advice is to pass the session of another."""
    async with site(tmp_path, events=Desk) as edge:
        findings = await examined(edge.url, namespace="/desk")
        assert findings.failed == {"session"}
        assert "--session COOKIE" in findings.words("session")
        staff = token("Eve", secret=SAMPLE_SECRET, claims={"role": "staff"})
        assert (await examined(edge.url, namespace="/desk", session=staff)).failed == set()


async def test_no_such_namespace(tmp_path: Path) -> None:
    """A namespace that does not exist is one failure, not several."""
    async with site(tmp_path, events=Desk) as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"session"}
    assert "--namespace /PATH" in findings.words("session")


async def test_two_secrets(tmp_path: Path) -> None:
    """A host with another secret than the function's is distinguished from lost cookies."""
    async with site(tmp_path, session_secret="another-secret-of-enough-characters") as edge:
        findings = await examined(edge.url)
    assert findings.failed == {"session"}
    assert "different SESSION_SECRETs" in findings.words("session")


async def test_not_sticky(tmp_path: Path) -> None:
    """Two hosts that take turns are found, and the load balancer's setting is named."""
    async with site(tmp_path, hosts=2) as edge:
        findings = await examined(edge.url, PAGES, SOCKETS, WHO)
    assert findings.failed == {"sticky"}
    assert "stickiness.enabled: true" in findings.words("sticky")


class StickyHosts(Hosts):
    """A load balancer that ties each client to a host by a cookie."""

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
    """Two hosts behind a load balancer with a stickiness cookie pass."""
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


class Silent(Namespace):
    """Events without an ack, or without an effect on other clients."""

    async def on_nod(self, sid: str, value: Any = None) -> Any:
        return {}

    def trigger_event(self, event: Any, *args: Any) -> Coroutine[Any, Any, Any]:
        if str(event).startswith("doctor-"):
            return self._wait()
        return super().trigger_event(event, *args)

    async def _wait(self) -> None:
        await asyncio.Event().wait()


async def test_events_unanswered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event without an ack, or one that others do not receive, is found."""
    monkeypatch.setattr(namespace, "_SETTLE_SECONDS", 0.1)
    async with site(tmp_path, events=Silent) as edge:
        event = Broadcast("nod", None, "nod")
        findings = await examined(edge.url, TALK, patience=4, broadcast=event)
    assert findings.failed == {"by-polling", "by-websocket", "by-upgrade", "broadcast"}
    assert "got no ack" in findings.words("by-polling")
    assert "4 of 4 clients did not receive nod" in findings.words("broadcast")


async def test_site_without_named_events(tmp_path: Path) -> None:
    """A site passes without naming its events: an ack suffices."""
    async with site(tmp_path, events=Namespace) as edge:
        findings = await examined(edge.url)
    assert findings.failed == set()
    assert "broadcast" in findings.with_outcome(SKIPPED)
    assert "--event NAME" in findings.words("broadcast")


@pytest.mark.parametrize(
    ("event", "failed"),
    [
        (Broadcast("draft", "Hello", "drafted"), set()),
        (Broadcast("draft", 7, "drafted"), {"broadcast"}),
    ],
    ids=["received", "refused"],
)
async def test_named_event(event: Broadcast, failed: set[str], tmp_path: Path) -> None:
    """A named event is sent with its value, and must be accepted and received by others."""
    async with site(tmp_path) as edge:
        findings = await examined(edge.url, TALK, broadcast=event)
    assert findings.failed == failed


async def test_session_from_a_cache() -> None:
    """Two clients with the same session are found: it comes from a cache."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(text='0{"sid":"always-the-same"}')

    async with answering(handler) as visited:
        with pytest.raises(Failure, match="gave two clients the same session"):
            await sockets.with_slash(visited)


@pytest.mark.parametrize("text", ["<h1>Welcome</h1>", "0{", '0{"sid":7', "0[]"])
async def test_no_socket_host(text: str) -> None:
    """Other servers on the socket path are not taken for a socket host."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=text)

    async with answering(handler) as visited:
        with pytest.raises(Failure, match="not a socket host's response"):
            await sockets.with_slash(visited)


async def test_host_full() -> None:
    """A host that accepts no more clients is distinguished from one that is down."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=503, text="This host is full.")

    async with answering(handler) as visited:
        with pytest.raises(
            Failure, match=r'503: "This host is full\.": no socket host accepts new'
        ):
            await sockets.with_slash(visited)


async def test_websocket_that_closes() -> None:
    """A websocket that is closed at once is not a session."""

    async def handler(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        await websocket.close()
        return websocket

    async with answering(handler) as visited:
        with pytest.raises(Failure, match="closed without a message"):
            await sockets.websocket(visited)
        with pytest.raises(Failure, match="A websocket opened at /"):
            await sockets.websocket_elsewhere(visited)


async def test_websocket_left_hanging() -> None:
    """An upgrade on a wrong path without a response is found."""

    async def handler(request: web.Request) -> web.Response:
        await asyncio.sleep(PATIENCE)
        return web.Response()

    async with answering(handler, patience=0.2) as visited:
        with pytest.raises(Failure, match="got no response"):
            await sockets.websocket_elsewhere(visited)
