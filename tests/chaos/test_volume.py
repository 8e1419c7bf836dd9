"""The promise in numbers: a thousand clients, two hosts, a million messages received."""

import asyncio
import json
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.light import ROOM
from tests.kit import buses
from tests.kit.hosts import ROOT, environ, host_process
from tests.small_app.model.posts import Posts

pytestmark = [pytest.mark.chaos, pytest.mark.long]

CLIENTS, SENDERS, MESSAGES = 1_000, 50, 20
PATIENCE = 300  # seconds


async def test_a_million_messages(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    """Each of 1,000 clients in one room receives all 1,000 messages, once and in order.

    50 of them write 20 messages each, each after the ack of the one before. When a third is acked,
    one of the two hosts is killed. It is restarted while the rest is being written, and the last
    third is written after that. That is 1,000,000 messages received, 1,000 of them distinct.
    """
    for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    async with AsyncExitStack() as stack, buses.redis(tmp_path) as redis:
        shared = environ(tmp_path, BUS=redis.setting, MAX_CONNECTIONS="2000")
        one, other = [shared | {"PORT": str(_free_port())} for _ in "ab"]
        async with host_process(one) as staying:
            await staying.ready()
            async with host_process(other) as dying:
                await dying.ready()
                crowd = await stack.enter_async_context(_crowd([staying.url, dying.url]))
                async with asyncio.timeout(PATIENCE):
                    assert await crowd.stdout.readline() == b"third\n"
            async with host_process(other) as returned:  # the former was killed by its block's end
                await returned.ready()
                async with asyncio.timeout(PATIENCE):
                    result, _ = await crowd.communicate(b"go\n")
    counts = json.loads(result)
    order, acks = counts.pop("order"), counts.pop("acks")
    record_property("counts", f"{CLIENTS} clients on 2 hosts, {counts}")
    _check(counts, order, acks)
    posts = Posts(shared["POSTS"])
    stored = [post.id for post in posts.after(ROOM, 0, 2 * SENDERS * MESSAGES)]
    posts.close()
    assert stored == order


def _check(counts: dict[str, int], order: list[str], acks: dict[str, int]) -> None:
    total = SENDERS * MESSAGES
    assert counts["complete"] == CLIENTS, counts
    assert counts["seen"] == CLIENTS * total >= 100_000
    assert counts["doubled"] == counts["differing"] == 0
    assert counts["connects"] > CLIENTS, "nobody lost a host"
    assert acks == {id_: seq for seq, id_ in enumerate(order, 1)}
    assert set(Counter(order).values()) == {1}
    for sender in range(SENDERS):
        theirs = [id_ for id_ in order if id_.startswith(f"Visitor {sender} ")]
        assert theirs == [f"Visitor {sender} {number}" for number in range(MESSAGES)]


@asynccontextmanager
async def _crowd(urls: list[str]) -> AsyncIterator[Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.light"),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=16 * 1024 * 1024,
    )
    plan = {"urls": urls, "clients": CLIENTS, "senders": SENDERS, "messages": MESSAGES}
    assert process.stdin
    process.stdin.write(json.dumps(plan).encode() + b"\n")
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port
