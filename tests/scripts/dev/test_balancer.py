"""The load balancer's stand-in: which client gets which host, and for how long."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from io import BytesIO

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import RawTestServer

from scripts.commands.dev.balancer import Balancer
from scripts.commands.dev.origin_request import MAX_BODY
from scripts.commands.dev.proxy import Proxy
from scripts.commands.dev.relay import Relay
from scripts.commands.dev.template import SOCKET_HOST, Template
from scripts.commands.dev.template_error import TemplateError
from tests.scripts.dev.edges import PATIENCE, TEMPLATE, Recorder, RunningEdge, changed, status
from tests.scripts.dev.edges import running as running_edge

POLL = "/socket.io/?EIO=4&transport=polling"


class FakeHost:
    """A host that answers with its name, and can drain or be down."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.address: str | None = None
        self.why_away = f"{name} is away."
        self.draining = False
        self.forwarded: str | None = None  # X-Forwarded-For of the last request

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.forwarded = request.headers.get("X-Forwarded-For")
        refuses = self.draining and "sid=" not in request.query_string
        return web.Response(text=self.name, status=503 if refuses else 200)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FakeHost"]:
        async with RawTestServer(self.answer) as server:
            self.address = str(server.make_url("")).rstrip("/")
            yield self


class Site:
    """An edge in front of fake hosts."""

    def __init__(self, edge: RunningEdge, hosts: list[FakeHost], balancer: Balancer) -> None:
        self.edge = edge
        self.hosts = hosts
        self.balancer = balancer

    async def get(self, cookie: str | None = None) -> tuple[str, str | None]:
        """The host that answers, and the cookie it sets."""
        headers = [f"Cookie: {cookie}"] if cookie else []
        answer = await self.edge.get(POLL, *headers)
        found = re.search(r"^Set-Cookie: (AWSALB=[^;]+)", answer, re.MULTILINE | re.IGNORECASE)
        return answer.rpartition("\n")[2], found and found[1]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """Three hosts."""
    async with AsyncExitStack() as stack:
        hosts = [await stack.enter_async_context(FakeHost(name).serving()) for name in "abc"]
        proxy = await stack.enter_async_context(Proxy())
        template = Template.parse(TEMPLATE)
        balancer = Balancer(hosts, proxy, lambda: edge.edge.template.stickiness)
        edge = await stack.enter_async_context(running_edge(template, {SOCKET_HOST: balancer}))
        yield Site(edge, hosts, balancer)


async def test_new_clients_are_distributed(site: Site) -> None:
    """Clients without a cookie, or with an invalid one, go to the hosts in turn."""
    cookies = [None, "a=b", "AWSALB=x", "AWSALB=9", "AWSALB", None]
    assert [(await site.get(cookie))[0] for cookie in cookies] == list("abcabc")


async def test_client_addresses(site: Site) -> None:
    """X-Forwarded-For has the edge's client and then the edge, as in the cloud."""
    await site.edge.get(POLL, "X-Forwarded-For: 192.0.2.4")
    assert site.hosts[0].forwarded == "192.0.2.4,127.0.0.1, 127.0.0.1"


async def test_client_stays(site: Site) -> None:
    """A client that sends its cookie reaches the same host every time."""
    await site.get()
    name, cookie = await site.get()
    for _ in range(4):
        assert await site.get(f"other=1; {cookie}; another=2") == (name, cookie)


OTHERS = ['a={"b":1}', "a[b]=1", "expires=1", 'a="b', "secure", "a b=1", "AWSALB=x", ";;="]


@pytest.mark.parametrize("other", OTHERS)
async def test_client_with_other_cookies(site: Site, other: str) -> None:
    """Whatever other cookies a client has, it stays with its host."""
    await site.get()
    name, cookie = await site.get()
    assert cookie
    assert await site.get(f"{other}; {cookie}") == (name, cookie)
    assert await site.get(f"{cookie}; {other}") == (name, cookie)


async def test_client_moves_when_its_host_is_down(site: Site) -> None:
    """It gets another host, and stays there when the first one returns."""
    _, cookie = await site.get()
    address, site.hosts[0].address = site.hosts[0].address, None
    name, moved = await site.get(cookie)
    assert name in "bc"
    site.hosts[0].address = address
    assert await site.get(moved) == (name, moved)


async def test_draining_host_gets_no_clients(site: Site) -> None:
    """After one 503, or a failed health check, a host is avoided until it is healthy again."""
    site.hosts[0].draining = True
    assert [(await site.get())[0] for _ in range(5)].count("a") == 1
    site.hosts[0].draining = False
    watching = asyncio.create_task(site.balancer.watch())
    await _until_met(site, lambda names: "a" in names)
    site.hosts[1].draining = True
    await _until_met(site, lambda names: "b" not in names)
    site.hosts[2].address = "http://127.0.0.1:1"  # no server listens here
    await _until_met(site, lambda names: names == ["a"] * 3)
    watching.cancel()


async def _until_met(site: Site, enough: Callable[[list[str]], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not enough([(await site.get())[0] for _ in range(3)]):
            pass


async def test_no_host(site: Site) -> None:
    """With all hosts down the response is a 502 with the reasons; with all draining, theirs."""
    for host in site.hosts:
        host.draining = True
    assert {status(await site.edge.get(POLL)) for _ in range(6)} == {503}
    for host in site.hosts:
        host.address = None
    answer = await site.edge.get(POLL)
    assert status(answer) == 502
    assert "a is away.\nb is away.\nc is away." in answer


async def test_template_without_stickiness(site: Site) -> None:
    """Without stickiness in the template, a client's requests reach different hosts."""
    assert "Max-Age=86400;" in await site.edge.get(POLL)
    enabled = '{ Key: stickiness.enabled, Value: "true" }'
    site.edge.edge.template = changed((enabled, enabled.replace("true", "false")))
    assert [await site.get("AWSALB=1") for _ in "abc"] == [("b", None), ("c", None), ("a", None)]


def test_malformed_stickiness() -> None:
    """A malformed stickiness attribute is refused with a message."""
    with pytest.raises(TemplateError, match="duration_seconds must be a number here"):
        changed(('Value: "86400"', "Value: !Ref Stage"))
    with pytest.raises(TemplateError, match="TargetGroupAttributes must be a list"):
        changed(("- { Key: stickiness.enabled, Value:", "- { Name: x, Value:"))


async def test_function_reaches_any_host(site: Site) -> None:
    """A function's emits go to a host that is up."""
    site.hosts[0].address = site.hosts[1].address = None
    async with RawTestServer(Relay(site.balancer).answer) as server, ClientSession() as http:
        answer = await http.post(server.make_url("/bus"), data=b"{}")
        assert await answer.text() == "c"


@pytest.mark.parametrize(("size", "expected"), [(3_000_000, 200), (MAX_BODY + 1, 413)])
async def test_relay_of_large_bodies(size: int, expected: int) -> None:
    """Functions in `sam local` may send AWS as much as a request to its stand-in may have."""
    aws = Recorder("aws")
    async with RawTestServer(Relay(Recorder("host"), aws=aws).answer) as server:
        body = BytesIO(b"a" * size)
        async with ClientSession() as http, http.post(server.make_url("/"), data=body) as answer:
            assert answer.status == expected
    assert [len(request.body) for request in aws.requests] == [size] * (expected == 200)
