"""A few bytes from a client cause only a bounded amount of memory and work."""

import asyncio
import json
import socket
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from socket_host.app import TRANSPORTS
from socket_host.limits import ANSWER_BYTES
from socket_host.namespace import Namespace
from tests.hostile.crowd import Member, member
from tests.hostile.victim import Victim, victim
from tests.kit.hosts import on_each_transport, serving, token
from tests.kit.protocol_client import SEPARATOR, http_client
from tests.small_app.model.posts import MAX_TEXT

LONGEST = "😀" * MAX_TEXT  # JSON escapes each character with twelve bytes
BYTES = 1_000_000


def fill(folder: Path, room: str, count: int) -> None:
    """Store posts 1 to `count`, each of the largest length."""
    rows = [(room, n, str(n), "eve", "Eve", LONGEST, n) for n in range(1, count + 1)]
    with closing(sqlite3.connect(folder / "posts.sqlite3")) as database, database:
        database.executemany("INSERT INTO post VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


async def settled(host: Victim) -> int:
    """Wait until the host is idle; return the peak of its memory."""
    most, idle = host.rss(), 0
    async with asyncio.timeout(60):
        while idle < 5:
            before = host.cpu()
            await asyncio.sleep(0.2)
            idle = idle + 1 if host.cpu() - before < 0.02 else 0
            most = max(most, host.rss())
    return most


@pytest.mark.parametrize("transport", sorted(TRANSPORTS))
@pytest.mark.parametrize("event", ['["missed",{"after":0}]', '["enter",{"room":"plaza"}]'])
async def test_answers_that_nobody_reads(event: str, transport: str, tmp_path: Path) -> None:
    """The host keeps little for clients that request much and do not read."""
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(victim(tmp_path, TRANSPORT=transport))
        fill(tmp_path, "plaza", 250)
        eves = [await stack.enter_async_context(member(host.port, f"Eve {n}")) for n in range(100)]
        for eve in eves:
            eve.stop_reading()
        before, cpu = await settled(host), host.cpu()
        for eve in eves:
            eve.send(*[f"42{number}{event}" for number in range(90)])
        assert await settled(host) - before < 40 * BYTES
        assert host.cpu() - cpu < 6


async def test_answers_to_clients_that_have_gone(tmp_path: Path) -> None:
    """Requests of a client that has gone are not read and encoded."""
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(victim(tmp_path))
        fill(tmp_path, "plaza", 250)
        eves = [await stack.enter_async_context(member(host.port, "Eve")) for _ in range(40)]
        cpu = host.cpu()
        for eve in eves:
            eve.send(*[f'42{number}["missed",{{"after":0}}]' for number in range(90)])
            eve.transport.close()
        await settled(host)
        assert host.cpu() - cpu < 1.5


@pytest.mark.parametrize("transport", sorted(TRANSPORTS))
async def test_polling_client_enters_a_full_room(transport: str, tmp_path: Path) -> None:
    """A polling client gets a room of the longest messages in pieces."""
    async with victim(tmp_path, TRANSPORT=transport) as host, http_client(host.port) as http:
        fill(tmp_path, "den", 60)
        poller = await http.open()

        async def ask(number: int, event: str, data: dict[str, Any]) -> dict[str, Any]:
            status, _ = await poller.post(f"42{number}" + json.dumps([event, data]))
            assert status == 200
            while True:
                status, text = await poller.get()
                assert status == 200
                for packet in text.split(SEPARATOR):
                    if packet.startswith(f"43{number}["):
                        assert len(packet) < ANSWER_BYTES + 16_000
                        return json.loads(packet[2 + len(str(number)) :])[0]

        await poller.post("40" + json.dumps({"session": token("Ann")}))
        answer = await ask(100, "enter", {"room": "den", "after": 0})
        seqs = [message["seq"] for message in answer["messages"]]
        while answer["more"]:
            answer = await ask(100 + len(seqs), "missed", {"after": seqs[-1]})
            seqs += [message["seq"] for message in answer["messages"]]
        assert seqs == list(range(1, 61))
        latest = await ask(999, "enter", {"room": "den"})
        assert [m["seq"] for m in latest["messages"]][-1] == latest["last"] == 60


class Generous(Namespace):
    """Returns large acks."""

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        self.times = 0
        yield

    def on_fill(self, sid: str, size: int) -> str:
        self.times += 1
        return "x" * size


@on_each_transport
async def test_answers_of_any_handler(transport: str, tmp_path: Path) -> None:
    """A handler is not called for a client that has not read the answers to earlier events."""
    limits = {"event_burst": 10_000, "fanout_bytes_per_second": 1e12}
    async with serving(tmp_path, Generous, transport=transport, **limits) as host:
        loop = asyncio.get_running_loop()
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", host.port))
        _, eve = await loop.create_connection(Member, sock=sock)
        await eve.join({"session": token("Eve")}, None)
        eve.stop_reading()
        times = 1_000
        for number in range(times):
            eve.send(f'42{number}["fill",60000]')
            await asyncio.sleep(0)
        before = -1
        while before != host.namespaces[0].times:
            before = host.namespaces[0].times
            await asyncio.sleep(0.5)
        assert 1 <= host.namespaces[0].times < 150  # the system buffers some MB
        eve.transport.abort()


@on_each_transport
async def test_answer_that_is_too_large(
    transport: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An ack above the limit is replaced by an error, and the client stays connected."""
    async with (
        serving(tmp_path, Generous, transport=transport) as host,
        member(host.port, "Ann") as ann,
    ):
        for _ in range(2):
            assert (await ann.ask("fill", 300_000)).keys() == {"error"}
        assert await ann.ask("fill", 3) == "xxx"
    assert len([r for r in caplog.records if "answer in parts" in r.getMessage().lower()]) == 1
