"""Every host knows who is in a room, whatever happens to hosts and the bus."""

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from functions.contract.bus import MAX_BYTES
from functions.contract.session import Session
from socket_host import presence, presence_sync
from socket_host.app import SocketHost
from socket_host.bus import peers
from tests.kit import buses
from tests.kit.buses import Redis
from tests.kit.clients import PythonClient
from tests.kit.hosts import environ, host_process, serving, token, url
from tests.kit.waiting import until

pytestmark = pytest.mark.together("waiting")


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "PAUSE", 0.05)
    monkeypatch.setattr(presence_sync, "GATHER", 0.02)


@pytest.fixture(scope="module")
def aws() -> Iterator[None]:
    """A stand-in for AWS."""
    with buses.aws():
        yield


class Site:
    """Hosts on one bus, with people in the room `den`."""

    def __init__(
        self,
        stack: AsyncExitStack,
        folder: Path,
        bus: str,
        transport: str,
        redis: Redis | None = None,
    ) -> None:
        self.bus = bus
        self.redis = redis
        self._hosts: list[SocketHost] = []
        self._stack = stack
        self._folder = folder
        self._transport = transport

    async def host(self) -> SocketHost:
        """Add a host, and wait until all know each other."""
        host = serving(self._folder, bus=self.bus, transport=self._transport)
        self._hosts.append(await self._stack.enter_async_context(host))
        others = len(self._hosts) - 1
        await until(lambda: all(len(host.bus.peers) == others for host in self._hosts))
        return self._hosts[-1]

    async def enter(self, where: str, name: str) -> PythonClient:
        client = PythonClient(reconnection=False)
        self._stack.push_async_callback(client.close)
        await client.connect(where, token=token(name))
        await client.call("enter", {"room": "den"})
        return client


@pytest.fixture
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    """A site whose bus is a Redis, or as the test requests."""
    kind, _, transport = getattr(request, "param", "redis-fast").partition("-")
    async with AsyncExitStack() as stack:
        if kind == "redis":
            redis = await stack.enter_async_context(buses.redis(tmp_path))
            yield Site(stack, tmp_path, redis.setting, transport, redis)
        else:
            request.getfixturevalue("aws")
            yield Site(stack, tmp_path, buses.topic(), transport)


def fill(host: SocketHost, *names: str) -> None:
    """Put visitors into `den` without clients."""
    for name in names:
        host.namespaces[0].presence.enter(name, "den", Session(name, name))


def names(host: SocketHost) -> set[str]:
    """Who is in `den` according to a host."""
    who = host.namespaces[0].presence.who("den")
    assert who["count"] == len(who["names"])
    return set(who["names"])


async def count(hosts: list[SocketHost], number: int) -> None:
    """Wait until all hosts have this count."""
    for host in hosts:
        await until(lambda: host.namespaces[0].presence.who("den")["count"] == number)  # noqa: B023


async def agree(hosts: list[SocketHost], *there: str) -> None:
    """Wait until all hosts have these names."""
    await until(lambda: [names(host) for host in hosts] == [set(there)] * len(hosts))


@pytest.mark.parametrize("site", ["redis-fast", "redis-stock"], indirect=True)
async def test_visitor_on_two_hosts_is_there_once(site: Site) -> None:
    """A visitor is present from the first tab to the last, on any host."""
    hosts = [await site.host(), await site.host()]
    one, other = map(url, hosts)
    tabs = [await site.enter(where, "Ann") for where in (one, other)]
    await site.enter(other, "Bob")
    await agree(hosts, "Ann", "Bob")
    await tabs[0].close()
    await until(lambda: not hosts[0].namespaces[0].presence._places)
    await site.enter(one, "Cid")  # announced after Ann left
    await agree(hosts, "Ann", "Bob", "Cid")
    await tabs[1].close()
    await agree(hosts, "Bob", "Cid")


@pytest.mark.parametrize("site", ["redis-fast", "sns-fast"], indirect=True)
async def test_new_host_gets_all_reports(site: Site) -> None:
    """A host that starts last soon knows who is on the others, and they know its people."""
    hosts = [await site.host(), await site.host()]
    for host, who in zip(hosts, ("Ann", "Bob"), strict=True):
        fill(host, who)
    await agree(hosts, "Ann", "Bob")
    hosts.append(await site.host())
    await agree(hosts, "Ann", "Bob")
    ack = await (await site.enter(url(hosts[-1]), "Cid")).call("enter", {"room": "den"})
    assert ack["who"]["count"] == 3
    await agree(hosts, "Ann", "Bob", "Cid")


async def test_each_host_informs_its_own_clients(site: Site) -> None:
    """Changes on other hosts are announced to a room once, by each client's own host."""
    here, there = [await site.host(), await site.host()]
    ann = await site.enter(url(here), "Ann")
    fill(there, "Bob")
    await agree([here, there], "Ann", "Bob")
    there.namespaces[0].presence.leave("Bob")
    await agree([here, there], "Ann")
    await until(lambda: not here.namespaces[0].presence._pauses)
    await here.sio.emit("end")
    await ann.receive("end")
    plaza, *den = [who["count"] for who in ann.inbox.unread("who")]
    assert (plaza, den[0], den[-1]) == (1, 1, 1)
    assert den in ([1, 2, 1], [1, 1])  # changes within a pause may cancel out


async def test_people_of_a_killed_host_vanish(site: Site) -> None:
    """Only the people of the killed host disappear."""
    host = await site.host()
    ann = await site.enter(url(host), "Ann")
    async with host_process(environ(Path(site._folder), BUS=site.bus)) as doomed:
        await doomed.ready()
        for name in ("Ann", "Bob"):
            await site.enter(doomed.url, name)
        await agree([host], "Ann", "Bob")
        doomed.process.send_signal(signal.SIGKILL)
        await agree([host], "Ann")
    while (await ann.receive("who"))["count"] != 2:
        pass
    assert await ann.receive("who") == {"count": 1, "names": ["Ann"]}


async def test_people_of_a_stopped_host_vanish_at_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The people of a host that stops disappear before it has missed a heartbeat."""
    monkeypatch.setattr(peers, "HEARTBEAT", 3_600)
    hosts = [await site.host(), await site.host()]
    fill(hosts[0], "Ann")
    fill(hosts[1], "Bob")
    await agree(hosts, "Ann", "Bob")
    await hosts[1].stop()
    await agree(hosts[:1], "Ann")
    assert hosts[0].namespaces[0].presence._presence_sync._reports == {}


async def test_host_that_was_lost_returns_with_its_people(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The people of a host that was considered lost are back with its next heartbeat."""
    monkeypatch.setattr(peers, "HEARTBEAT", 0.2)
    host, silent = await site.host(), await site.host()
    fill(silent, "Bob")
    await agree([host], "Bob")
    silent.bus.peers._beating.cancel()
    await agree([host])
    monkeypatch.setattr(peers, "HEARTBEAT", 3_600)  # one heartbeat is enough now
    silent.bus.peers._announce("alive")
    await agree([host], "Bob")


async def test_outage_heals(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an outage all hosts agree again, even if the bus has lost messages."""
    monkeypatch.setattr(peers, "HEARTBEAT", 0.5)
    hosts = [await site.host(), await site.host()]
    fill(hosts[0], "Ann", "Cid")
    fill(hosts[1], "Bob", "Dan")
    await agree(hosts, "Ann", "Bob", "Cid", "Dan")
    assert site.redis
    hosts[0].bus._outbox._max_count = 1  # so that it drops its messages
    await site.redis.stop()
    for host, who in zip(hosts, ("Ann", "Bob"), strict=True):
        host.namespaces[0].presence.leave(who)
    await until(lambda: hosts[0].bus.health()["dropped"])
    fill(hosts[0], "Eve")
    assert names(hosts[0]) == {"Bob", "Cid", "Dan", "Eve"}  # the former state
    await site.redis.start()
    await agree(hosts, "Cid", "Dan", "Eve")
    for host in hosts:
        await until(lambda: host.bus.health()["status"] == "ok")  # noqa: B023 - called here


async def test_large_report_has_parts(site: Site) -> None:
    """A report that is too large for one message of the bus is sent in several."""
    crowd = [Session(f"visitor-{number}", "Somebody" * 20) for number in range(4_000)]
    assert sum(len(session.id + session.name) for session in crowd) > MAX_BYTES
    hosts = [await site.host(), await site.host()]
    for session in crowd:
        hosts[0].namespaces[0].presence.enter(session.id, "den", session)
    await count(hosts, len(crowd))
    hosts.append(await site.host())
    await count(hosts, len(crowd))
    for session in crowd[1:]:
        hosts[0].namespaces[0].presence.leave(session.id)
    await count(hosts, 1)
