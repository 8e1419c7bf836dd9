"""What one client can make grow is bounded, and other clients are not affected."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from socket_host.namespace import Namespace
from tests.kit.clients import clients, raw_client
from tests.kit.hosts import PATIENCE, on_each_transport, serving, token, url

pytestmark = on_each_transport


class Slow(Namespace):
    """Has a handler that waits for a gate to open."""

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        self.gate = asyncio.Event()
        yield

    async def on_wait(self, sid: str) -> str:
        await self.gate.wait()
        return "done"

    async def on_echo(self, sid: str, value: int) -> int:
        return value


async def test_too_many_events(transport: str, tmp_path: Path) -> None:
    """A client that sends too fast gets errors; the others are served."""
    limits = {"event_burst": 5, "events_per_second": 0.001}
    async with serving(tmp_path, transport=transport, **limits) as host, clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        bob = await people.connect(url(host), token("Bob"))
        answers = [await ann.call("busy", True) for _ in range(7)]
        assert answers[:5] == [{}] * 5
        assert [answer["retry"] for answer in answers[5:]] == [True, True]
        assert "Slow down" in answers[5]["error"]
        assert await bob.call("busy", True) == {}
        assert host.namespaces[0].refused == {"rate": 2}


async def test_allowance_is_refilled(transport: str, tmp_path: Path) -> None:
    """After a pause, a client may send again."""
    limits = {"event_burst": 1, "events_per_second": 20}
    async with serving(tmp_path, transport=transport, **limits) as host, clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        async with asyncio.timeout(PATIENCE):
            for _ in range(3):
                while "error" in await ann.call("busy", True):  # noqa: ASYNC110 - time is the point
                    await asyncio.sleep(0.01)


async def test_too_many_waiting(transport: str, tmp_path: Path) -> None:
    """The number of unanswered events is limited."""
    limits = {"event_burst": 3, "events_per_second": 1_000_000}
    async with serving(tmp_path, Slow, transport=transport, **limits) as host, clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        waiting = [asyncio.create_task(ann.call("wait")) for _ in range(3)]
        answers = [asyncio.create_task(ann.call("wait")) for _ in range(2)]
        assert [(await answer)["retry"] for answer in answers] == [True, True]
        host.namespaces[0].gate.set()
        assert await asyncio.gather(*waiting) == ["done"] * 3
        assert await ann.call("echo", 1) == 1


@pytest.mark.parametrize(
    ("kind", "way"),
    # Not Python by polling: that client takes half a minute to notice a refused request.
    [("python", "websocket"), ("javascript", "websocket"), ("javascript", "polling")],
)
async def test_huge_message(kind: str, way: str, transport: str, tmp_path: Path) -> None:
    """A message above the limit closes only its sender's connection."""
    async with serving(tmp_path, transport=transport) as host, clients(kind, way) as people:
        ann = await people.connect(url(host), token("Ann"))
        bob = await people.connect(url(host), token("Bob"))
        await bob.emit("draft", "x" * 101_000)
        await bob.receive("disconnect")
        assert await ann.call("busy", True) == {}
        assert "disconnect" not in ann.inbox.order


async def test_many_packets_in_one_request(transport: str, tmp_path: Path) -> None:
    """Everything that a polling client has buffered arrives in one request."""
    async with serving(tmp_path, transport=transport) as host, aiohttp.ClientSession() as http:
        address = f"{url(host)}/socket.io/?EIO=4&transport=polling"
        async with http.get(address) as answer:
            sid = (await answer.text()).split('"')[3]
        address += f"&sid={sid}"
        packets = [f'42["message",{{"id":"{n}","text":"line {n}"}}]' for n in range(90)]
        connect = f'40{{"session":"{token("Ann")}"}}'
        for text in (connect, "\x1e".join(packets)):
            async with http.post(address, data=text) as answer:
                assert (await answer.text()).lower() == "ok"
        received = ""
        async with asyncio.timeout(PATIENCE):
            while received.count('42["message",') < 90:
                async with http.get(address) as answer:
                    received += await answer.text()


MALFORMED = ["42", "42{}", "42[", "49", '4299999["busy"', "44", "45", "9", "x", "", "40/", "5"]


@pytest.mark.parametrize("packet", MALFORMED)
async def test_malformed_packet(packet: str, transport: str, tmp_path: Path) -> None:
    """A malformed packet affects at most its sender."""
    async with serving(tmp_path, transport=transport) as host, clients() as people:
        ann = await people.connect(url(host), token("Ann"))
        async with raw_client(url(host), token("Eve")) as eve:
            for _ in range(20):
                await eve.websocket.send_str(packet)
        assert await ann.call("busy", True) == {}
        assert "disconnect" not in ann.inbox.order


async def test_connections_are_bounded(transport: str, tmp_path: Path) -> None:
    """Connections that avoid the session check by staying silent are limited too."""
    async with (
        serving(tmp_path, transport=transport, max_connections=200, max_per_address=0) as host,
        aiohttp.ClientSession() as http,
    ):
        address = f"{url(host)}/socket.io/?EIO=4&transport=polling"
        statuses = []
        for _ in range(30):
            async with http.get(address) as answer:
                statuses.append(answer.status)
        assert statuses == [200] * 20 + [503] * 10
        assert host.admission.refused == {"waiting": 10}
