"""The bus over SNS and SQS, and its queues."""

import asyncio
import json
import signal
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from functions.contract.bus import Topic
from socket_host.bus.queue import prefix
from socket_host.bus.sns import SnsBus
from tests.kit import buses
from tests.kit.buses import Host
from tests.kit.hosts import PATIENCE, ROOT
from tests.kit.waiting import until


@pytest.fixture(scope="module", autouse=True)
def aws() -> Iterator[None]:
    """A stand-in for AWS."""
    with buses.aws():
        yield


@pytest.fixture
def topic() -> Topic:
    """A new topic."""
    return Topic.parse(buses.topic())


def host(topic: Topic, **options: Any) -> Any:
    """A host with short intervals for marking and sweeping queues."""
    # On a busy machine, a host may mark its queue a second or two late.
    options = {"heartbeat": 0.1, "orphan": 3.0} | options
    return Host(SnsBus(topic, **options), "fast").serving()


def queues(topic: Topic) -> list[str]:
    """The addresses of a topic's queues."""
    found = boto3.client("sqs").list_queues(QueueNamePrefix=prefix(topic))
    return list(found.get("QueueUrls", ()))


def endpoints(topic: Topic) -> list[str]:
    """The ARNs of the queues that are subscribed to a topic."""
    found = boto3.client("sns").list_subscriptions_by_topic(TopicArn=topic.arn)
    return [subscription["Endpoint"] for subscription in found["Subscriptions"]]


def seen(topic: Topic, host: Host) -> float:
    """When a host last marked its queue as in use."""
    sqs = boto3.client("sqs")
    [url] = [url for url in queues(topic) if host.bus._queue.name in url]
    return float(sqs.list_queue_tags(QueueUrl=url)["Tags"]["sidepath:seen"])


async def test_queue_lives_as_long_as_its_host(topic: Topic) -> None:
    """Each host creates and subscribes its own queue, and deletes both when it stops."""
    async with host(topic):
        async with host(topic):
            assert len(queues(topic)) == len(endpoints(topic)) == 2
        assert len(queues(topic)) == len(endpoints(topic)) == 1
    assert queues(topic) == endpoints(topic) == []


async def test_queue_is_what_the_bus_needs(topic: Topic) -> None:
    """Only the topic may send to the queue; messages arrive unchanged and in order."""
    async with host(topic):
        [url], [endpoint] = queues(topic), endpoints(topic)
        sqs, sns = boto3.client("sqs"), boto3.client("sns")
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert attributes["FifoQueue"] == "true"
        assert attributes["QueueArn"] == endpoint
        [statement] = json.loads(attributes["Policy"])["Statement"]
        assert statement == {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": endpoint,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic.arn}},
        }
        [found] = sns.list_subscriptions_by_topic(TopicArn=topic.arn)["Subscriptions"]
        subscription = sns.get_subscription_attributes(SubscriptionArn=found["SubscriptionArn"])
        assert subscription["Attributes"]["RawMessageDelivery"] == "true"


ABANDON = """
import asyncio, sys
from functions.contract.bus import Topic
from socket_host.bus.sns import SnsBus

async def main():
    await SnsBus(Topic.parse(sys.argv[1])).start()
    print("started", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_queue_of_a_killed_host_is_swept(topic: Topic) -> None:
    """A killed host's queue and subscription are deleted by the others, which keep their own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ABANDON, f"sns:{topic.arn}"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    async with asyncio.timeout(PATIENCE):
        assert await process.stdout.readline() == b"started\n"
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    [abandoned] = queues(topic)
    async with host(topic) as one, host(topic) as other:
        assert len(queues(topic)) == len(endpoints(topic)) == 3
        await until(lambda: len(queues(topic)) == len(endpoints(topic)) == 2)
        assert abandoned not in queues(topic)
        client = await other.client()
        await one.sio.emit("news", "still here")
        assert await client.receive("news") == "still here"


async def test_queues_of_others_are_left_alone(topic: Topic) -> None:
    """A queue without our tags, or of another topic, is kept, whatever its name and age."""
    sqs = boto3.client("sqs")
    old = {"sidepath:seen": "1.0"}
    for number, tags in enumerate(({}, old, old | {"sidepath:topic": f"{topic.arn}2"})):
        name = f"{prefix(topic)}{number}.fifo"
        sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"}, tags=tags)
    ours = {"sidepath:topic": topic.arn} | old
    name = f"{prefix(topic)}3.fifo"
    sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"}, tags=ours)
    async with host(topic):
        await until(lambda: len(queues(topic)) == 4)  # three others, and the host's own
    assert len(queues(topic)) == 3


async def test_subscription_without_queue_is_swept(topic: Topic) -> None:
    """A subscription without a queue is deleted too; one of another kind is not."""
    sns = boto3.client("sns")
    arn = f"arn:aws:sqs:{topic.region}:{topic.account}"
    for name in (f"{prefix(topic)}gone.fifo", "somebody-elses.fifo"):
        sns.subscribe(TopicArn=topic.arn, Protocol="sqs", Endpoint=f"{arn}:{name}")
    async with host(topic):
        await until(lambda: len(endpoints(topic)) == 2)
    assert endpoints(topic) == [f"{arn}:somebody-elses.fifo"]


async def test_queue_that_is_not_listed_yet_counts(topic: Topic) -> None:
    """A new queue that is missing from the list of queues keeps its subscription."""
    async with host(topic) as one, host(topic, heartbeat=60) as other:
        young = other.bus._queue.name

        def hide(parsed: dict[str, Any], **_: Any) -> None:
            parsed["QueueUrls"] = [url for url in parsed["QueueUrls"] if young not in url]

        one.bus._sqs.meta.events.register("after-call.sqs.ListQueues", hide)
        before = seen(topic, one)
        await until(lambda: seen(topic, one) > before + 0.3)
        assert len(endpoints(topic)) == 2


async def test_heartbeat_keeps_the_queue(topic: Topic) -> None:
    """A host keeps marking its queue as in use, so that others do not delete it."""
    async with host(topic) as one, host(topic) as other:
        mine, before = queues(topic), seen(topic, one)
        await until(lambda: min(seen(topic, one), seen(topic, other)) > before + 3.5)
        assert queues(topic) == mine


async def test_received_messages_are_deleted(topic: Topic) -> None:
    """Messages that a host has received are deleted from its queue."""
    async with host(topic) as one:
        [url] = queues(topic)
        async with host(topic) as other:
            client = await one.client()
            for number in range(15):
                await other.sio.emit("news", number)
            assert [await client.receive("news") for _ in range(15)] == list(range(15))
            states = [f"ApproximateNumberOfMessages{state}" for state in ("", "NotVisible")]

            def kept() -> list[str]:
                answer = boto3.client("sqs").get_queue_attributes(
                    QueueUrl=url, AttributeNames=states
                )
                return list(answer["Attributes"].values())

            await until(lambda: kept() == ["0", "0"])


async def test_deleted_queue_is_recreated(topic: Topic) -> None:
    """A host whose queue has been deleted reports that, and creates another."""
    async with host(topic) as one, host(topic) as other:
        client = await one.client()
        sqs = boto3.client("sqs")
        for url in queues(topic):
            if one.bus._queue.name in url:
                sqs.delete_queue(QueueUrl=url)
        words = f"the queue {one.bus._queue.name} does not exist in this account and region"
        await until(lambda: words in one.bus.health().get("why", ""))
        await until(lambda: one.bus.health()["status"] == "ok")
        await other.sio.emit("news", "again")
        assert await client.receive("news") == "again"


async def test_deleted_subscription_is_recreated(topic: Topic) -> None:
    """A host that was unsubscribed is subscribed again at its next heartbeat."""
    async with host(topic) as one:
        sns = boto3.client("sns")
        [found] = sns.list_subscriptions_by_topic(TopicArn=topic.arn)["Subscriptions"]
        sns.unsubscribe(SubscriptionArn=found["SubscriptionArn"])
        await until(lambda: endpoints(topic) == [one.bus._queue.arn])


async def test_missing_topic_is_named(topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose topic does not exist serves its own clients, and reports the problem."""
    monkeypatch.setattr("socket_host.bus.shared.START_SECONDS", 0.1)
    monkeypatch.setattr("socket_host.bus.shared.FLUSH_SECONDS", 0.1)
    boto3.client("sns").delete_topic(TopicArn=topic.arn)
    async with host(topic) as one:
        client = await one.client()
        await one.sio.emit("news", "here")
        assert await client.receive("news") == "here"
        words = f"the topic {topic.arn} does not exist in this account and region"
        # Reported by publishing, by receiving, and later by maintaining the queue.
        await until(lambda: one.bus.health().get("why", "").count(words) >= 2)


async def test_duplicate_is_dropped(topic: Topic) -> None:
    """A message published again after SNS's deduplication window is recognised."""
    async with host(topic) as one, host(topic) as other:
        client = await other.client()
        bodies: list[str] = []

        def keep(params: dict[str, Any], **_: Any) -> None:
            bodies.extend(entry["Message"] for entry in params["PublishBatchRequestEntries"])

        one.bus._sns.meta.events.register("provide-client-params.sns.PublishBatch", keep)
        await one.sio.emit("news", 1)
        assert await client.receive("news") == 1
        for group in ("one", "other"):
            boto3.client("sns").publish(
                TopicArn=topic.arn,
                Message=bodies[0],
                MessageGroupId=group,
                MessageDeduplicationId=group,
            )
        await until(lambda: other.bus.health()["duplicates"] == 2)
        await one.sio.emit("news", 2)
        assert await client.receive("news") == 2


def refuse_once(bus: SnsBus, number: int, code: str) -> None:
    """Make SNS refuse a message in the first batch."""
    refused: list[str] = []

    def take_out(params: dict[str, Any], **_: Any) -> None:
        if not refused:
            refused.append(params["PublishBatchRequestEntries"].pop(number)["Id"])

    def report(parsed: dict[str, Any], **_: Any) -> None:
        if len(refused) == 1:
            refused.append("reported")
            failure = {"Id": refused[0], "Code": code, "SenderFault": code.startswith("Invalid")}
            parsed["Failed"] = [failure]

    events = bus._sns.meta.events
    events.register("provide-client-params.sns.PublishBatch", take_out)
    events.register("after-call.sns.PublishBatch", report)


async def test_refused_message_is_tried_again_first(topic: Topic) -> None:
    """A message that SNS refuses temporarily is sent again before later ones."""
    async with host(topic) as one, host(topic) as other:
        client = await other.client()
        refuse_once(one.bus, 1, "InternalError")
        for number in range(20):
            await one.sio.emit("news", number)
        received = [await client.receive("news") for _ in range(20)]
        assert received == [0, *range(2, 10), 1, *range(10, 20)]
        assert one.bus.health()["dropped"] == 0


async def test_message_that_sns_never_accepts(
    topic: Topic, caplog: pytest.LogCaptureFixture
) -> None:
    """A message that SNS rejects is dropped, counted and logged; the others are sent."""
    async with host(topic) as one, host(topic) as other:
        client = await other.client()
        refuse_once(one.bus, 1, "InvalidParameter")
        for number in range(20):
            await one.sio.emit("news", number)
        received = [await client.receive("news") for _ in range(19)]
        assert received == [0, *range(2, 20)]
        assert one.bus.health()["dropped"] == 1
        assert "SNS will never accept" in caplog.text
