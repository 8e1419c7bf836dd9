"""The function queue: functions' emits reach hosts on Redis or Valkey."""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

from functions.web.emitters import open_emitter
from tests.kit import buses
from tests.kit.buses import Host, Redis
from tests.kit.hosts import SECRET
from tests.kit.waiting import until


@pytest.fixture(scope="module")
def aws() -> Iterator[None]:
    """A stand-in for AWS."""
    with buses.aws():
        yield


@dataclass
class Site:
    """Two hosts on a Redis, and a topic whose queue they read."""

    topic: str
    queue: str
    redis: Redis
    one: Host
    other: Host

    async def emit(self, *numbers: int) -> None:
        """Emit numbers as one function would, through the topic."""
        emitter = open_emitter(self.topic, SECRET)
        for number in numbers:
            await asyncio.to_thread(emitter.emit, "news", number, room="plaza")

    def waiting(self) -> int:
        """How many messages are in the queue, including those received but not deleted."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = boto3.client("sqs").get_queue_attributes(QueueUrl=self.queue, AttributeNames=names)
        return sum(int(found["Attributes"][name]) for name in names)


def make_queue(topic: str) -> str:
    """Create a queue subscribed to a topic, as in the template; return its URL."""
    sqs = boto3.client("sqs")
    name = f"{uuid.uuid4().hex[:8]}-functions.fifo"
    attributes = {"FifoQueue": "true", "VisibilityTimeout": "1"}
    url: str = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    boto3.client("sns").subscribe(
        TopicArn=topic.removeprefix("sns:"),
        Protocol="sqs",
        Endpoint=arn["QueueArn"],
        Attributes={"RawMessageDelivery": "true"},
    )
    return url


@pytest.fixture
async def site(aws: None, tmp_path: Path) -> AsyncIterator[Site]:
    topic = buses.topic()
    queue = make_queue(topic)
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(buses.redis(tmp_path))
        hosts = [
            await stack.enter_async_context(buses.host(redis.setting, function_queue=queue))
            for _ in "ab"
        ]
        yield Site(topic, queue, redis, *hosts)


async def test_functions_reach_every_host(site: Site) -> None:
    """A function's emits reach the clients of all hosts, once and in order."""
    here, there = [await host.client() for host in (site.one, site.other)]
    await site.emit(*range(30))
    await until(lambda: not site.waiting())
    await site.one.sio.emit("news", "end")
    for client in (here, there):
        assert [await client.receive("news") for _ in range(30)] == list(range(30))
        assert await client.receive("news") == "end"


async def test_queue_keeps_what_the_bus_has_not(site: Site) -> None:
    """While the bus is down messages stay in the queue; later all clients get them, once each."""
    here, there = [await host.client() for host in (site.one, site.other)]
    site.redis.signal(signal.SIGSTOP)
    await site.emit(1, 2, 3)
    await until(lambda: len(site.one.bus._outbox) or len(site.other.bus._outbox))
    assert site.waiting() == 3
    site.redis.signal(signal.SIGCONT)
    await until(lambda: not site.waiting())
    await until(lambda: site.one.bus.health()["waiting"] == site.other.bus.health()["waiting"] == 0)
    await site.one.sio.emit("news", "end")
    for client in (here, there):
        assert [await client.receive("news") for _ in range(4)] == [1, 2, 3, "end"]


async def test_host_that_dies_leaves_its_messages(aws: None, tmp_path: Path) -> None:
    """Messages that a killed host had received but not passed on are passed on by another host."""
    topic = buses.topic()
    queue = make_queue(topic)
    await asyncio.to_thread(open_emitter(topic, SECRET).emit, "news", 1)
    received = boto3.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=5)
    assert len(received["Messages"]) == 1
    async with (
        buses.redis(tmp_path) as redis,
        buses.host(redis.setting) as other,
    ):
        client = await other.client()
        async with buses.host(redis.setting, function_queue=queue):
            assert await client.receive("news") == 1


async def test_missing_queue_is_reported(aws: None, tmp_path: Path) -> None:
    """Without its queue a host is degraded, and keeps using the bus."""
    missing = "http://127.0.0.1:1/123456789012/none.fifo"
    async with (
        buses.redis(tmp_path) as redis,
        buses.host(redis.setting, function_queue=missing) as one,
        buses.host(redis.setting) as other,
    ):
        words = "Messages from functions do not arrive"
        await until(lambda: words in one.bus.health().get("why", ""))
        client = await other.client()
        await one.sio.emit("news", "hello")
        assert await client.receive("news") == "hello"
