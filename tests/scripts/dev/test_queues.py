"""Queues on one machine: a message from boto3 reaches the function that reads its queue."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from scripts.commands.dev import queues
from scripts.commands.dev.functions import Functions, FunctionSettings, Queue, QueueEvent
from scripts.commands.dev.invocation import FunctionError
from scripts.commands.dev.queues import Queues
from scripts.commands.dev.relay import Relay
from tests.scripts.dev.edges import Recorder, eventually

EDGE = FunctionSettings("workpiece.handler", 3, 128)


def reading(*events: QueueEvent) -> FunctionSettings:
    return FunctionSettings("workpiece.handler", 3, 128, "Mailer", queues=events)


FUNCTIONS = Functions(
    EDGE,
    {
        "Mailer": reading(
            *(QueueEvent("Mails", 2), QueueEvent("Orders", reports_failures=True)),
            *(QueueEvent("Letters"), QueueEvent("DeadLetters")),
        )
    },
    queues={
        "Mails": Queue(3),
        "Orders": Queue(3, "Unread"),
        "Unread": Queue(3),
        "Letters": Queue(2, "DeadLetters"),
        "DeadLetters": Queue(1, "DeadLetters"),
    },
)


@dataclass
class Mailer:
    """A function that records its events, and fails on some messages."""

    calls: list[list[dict[str, Any]]] = field(default_factory=list)
    fails: int = 0  # calls
    reported: list[str] = field(default_factory=list)  # bodies

    async def invoke(self, name: str, event: Any) -> Any:
        assert name == "Mailer"
        self.calls.append(event["Records"])
        await asyncio.sleep(0)
        if self.fails:
            self.fails -= 1
            raise FunctionError(500, "LookupError: no post")
        failed = [each for each in event["Records"] if each["body"] in self.reported]
        return {"batchItemFailures": [{"itemIdentifier": each["messageId"]} for each in failed]}

    @property
    def bodies(self) -> list[list[str]]:
        return [[each["body"] for each in call] for call in self.calls]


@pytest.fixture
def mailer() -> Mailer:
    return Mailer()


@pytest.fixture
async def sqs(mailer: Mailer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """boto3's client for the queues; its calls block, so make them with `asyncio.to_thread`."""
    monkeypatch.setattr(queues, "MAX_PAUSE", 0.0)
    queued = Queues(lambda: FUNCTIONS, mailer.invoke)
    relay = Relay(Recorder("host"), queued)

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return await relay.answer(request)

    async with RawTestServer(answer) as server:
        yield boto3.client(
            "sqs",
            endpoint_url=str(server.make_url("")),
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
        )
    await queued.stop()


async def test_sent(sqs: Any, mailer: Mailer) -> None:
    """A message reaches the function in SQS's format, however the queue is addressed."""
    attributes = {"Kind": {"DataType": "String", "StringValue": "news"}}
    sent = await asyncio.to_thread(
        sqs.send_message, QueueUrl="Mails", MessageBody="é", MessageAttributes=attributes
    )
    await eventually(lambda: mailer.calls)
    ((record,),) = mailer.calls
    assert (record["body"], record["messageId"]) == ("é", sent["MessageId"])
    assert record["md5OfBody"] == sent["MD5OfMessageBody"]
    assert record["messageAttributes"] == {"Kind": {"dataType": "String", "stringValue": "news"}}
    assert record["eventSourceARN"].endswith(":Mails")
    url = await asyncio.to_thread(sqs.get_queue_url, QueueName="Mails")
    for address in (url["QueueUrl"], "https://sqs.eu-west-1.amazonaws.com/123456789012/Mails"):
        await asyncio.to_thread(sqs.send_message, QueueUrl=address, MessageBody=address)
    await eventually(lambda: len(mailer.calls) == 3)


async def test_batches(sqs: Any, mailer: Mailer) -> None:
    """Messages arrive in order, in batches of the template's size; delayed ones arrive later."""
    entries: list[dict[str, Any]] = [{"Id": str(n), "MessageBody": str(n)} for n in range(5)]
    entries[0]["DelaySeconds"] = 1
    answer = await asyncio.to_thread(sqs.send_message_batch, QueueUrl="Mails", Entries=entries)
    assert [each["Id"] for each in answer["Successful"]] == ["0", "1", "2", "3", "4"]
    await eventually(lambda: len(mailer.calls) == 3)
    assert mailer.bodies == [["1", "2"], ["3", "4"], ["0"]]


async def test_tried_again(sqs: Any, mailer: Mailer, capsys: pytest.CaptureFixture[str]) -> None:
    """A failed message is retried as often as the template says, and then discarded."""
    mailer.fails = 2
    await asyncio.to_thread(sqs.send_message, QueueUrl="Mails", MessageBody="a")
    await eventually(lambda: len(mailer.calls) == 3)
    assert [call[0]["attributes"]["ApproximateReceiveCount"] for call in mailer.calls] == [
        *("1", "2", "3")
    ]
    mailer.fails = 3
    await asyncio.to_thread(sqs.send_message, QueueUrl="Mails", MessageBody="b")
    await eventually(lambda: len(mailer.calls) == 6)
    await asyncio.to_thread(sqs.send_message, QueueUrl="Mails", MessageBody="c")
    await eventually(lambda: len(mailer.calls) == 7)
    assert mailer.bodies[3:] == [["b"], ["b"], ["b"], ["c"]]
    output = capsys.readouterr().err
    assert "Mailer failed: LookupError: no post" in output
    assert "Mailer failed 3 times on a message, which is now discarded." in output


async def test_reported_failures(sqs: Any, mailer: Mailer) -> None:
    """If the template says so, only the messages that the function reports are retried."""
    mailer.reported = ["1"]
    entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(3)]
    await asyncio.to_thread(sqs.send_message_batch, QueueUrl="Orders", Entries=entries)
    await eventually(lambda: len(mailer.calls) == 3)
    assert mailer.bodies == [["0", "1", "2"], ["1"], ["1"]]


async def test_dead_letters(sqs: Any, mailer: Mailer, capsys: pytest.CaptureFixture[str]) -> None:
    """A message that fails too often goes to the dead-letter queue, and to whoever reads that."""
    mailer.fails = 3
    attributes = {"Kind": {"DataType": "String", "StringValue": "news"}}
    sent = await asyncio.to_thread(
        sqs.send_message, QueueUrl="Letters", MessageBody="a", MessageAttributes=attributes
    )
    await eventually(lambda: len(mailer.calls) == 3)
    (first,), _, (last,) = mailer.calls
    assert (last["body"], last["messageId"]) == ("a", sent["MessageId"])
    assert last["messageAttributes"] == first["messageAttributes"]
    assert [call[0]["eventSourceARN"].rpartition(":")[2] for call in mailer.calls] == [
        *("Letters", "Letters", "DeadLetters")
    ]
    output = capsys.readouterr().err
    assert "Mailer failed 2 times on a message, which is now in DeadLetters." in output
    await asyncio.to_thread(sqs.send_message, QueueUrl="Letters", MessageBody="b")
    await eventually(lambda: len(mailer.calls) == 4)
    output += capsys.readouterr().err
    assert "Mailer failed 1 times on a message, which is now discarded." in output


async def test_messages_left(mailer: Mailer, capsys: pytest.CaptureFixture[str]) -> None:
    """At the end, messages that no function has received are reported, including delayed ones."""
    queued = Queues(lambda: FUNCTIONS, mailer.invoke)
    for body in (
        b'{"QueueUrl": "Mails", "MessageBody": "a"}',
        b'{"QueueUrl": "Mails", "MessageBody": "b", "DelaySeconds": 900}',
    ):
        assert queued.answer("AmazonSQS.SendMessage", body)[0] == 200
    await queued.stop()
    assert "Mails had 2 message(s) left, which are lost." in capsys.readouterr().err
    queued = Queues(lambda: FUNCTIONS, mailer.invoke)
    assert queued.answer("AmazonSQS.SendMessage", b'{"QueueUrl": "Mails", "MessageBody": "c"}')
    await eventually(lambda: mailer.bodies == [["c"]] and not queued._held)
    await queued.stop()
    assert "left" not in capsys.readouterr().err


async def test_refused(sqs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue that is not in the template, or an unsupported call, causes a clear error."""
    with pytest.raises(sqs.exceptions.QueueDoesNotExist, match="no queue Males, only: Mails"):
        await asyncio.to_thread(sqs.send_message, QueueUrl="Males", MessageBody="a")
    with pytest.raises(sqs.exceptions.UnsupportedOperation, match="only accept messages; Receive"):
        await asyncio.to_thread(sqs.receive_message, QueueUrl="Mails")
    with pytest.raises(sqs.exceptions.ClientError, match="needs a MessageBody"):
        await asyncio.to_thread(sqs.send_message, QueueUrl="Mails", MessageBody="")
    monkeypatch.setattr(queues, "MAX_WAITING", 0)
    with pytest.raises(sqs.exceptions.OverLimit, match="Mails already has 0 messages"):
        await asyncio.to_thread(sqs.send_message, QueueUrl="Mails", MessageBody="a")


async def test_unread(sqs: Any, mailer: Mailer, capsys: pytest.CaptureFixture[str]) -> None:
    """A message that no function in the template reads is reported."""
    await asyncio.to_thread(sqs.send_message, QueueUrl="Unread", MessageBody="a")
    output = ""

    def told() -> bool:
        nonlocal output
        output += capsys.readouterr().err
        return "No function in the template reads Unread: 1 message(s) lost." in output

    await eventually(told)
    assert mailer.calls == []


@pytest.mark.parametrize("body", ["{", "[]", '{"QueueUrl": 5}', '{"QueueUrl": "Mails"}'])
async def test_malformed(body: str, mailer: Mailer) -> None:
    """Any other request is refused, and does not call a function."""
    queued = Queues(lambda: FUNCTIONS, mailer.invoke)
    for action in ("SendMessage", "SendMessageBatch", "GetQueueUrl", ""):
        status, answer = queued.answer(f"AmazonSQS.{action}", body.encode())
        assert status == 400 or answer["Successful"] == []
    assert mailer.calls == []


def test_environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """boto3 finds the queues if a function reads one, with made-up keys if there are no others."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ENDPOINT_URL_SQS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    address = "http://127.0.0.1:1"
    assert queues.environ(Functions(EDGE, {}, queues={"Mails": Queue(3)}), address) == {}
    found = queues.environ(FUNCTIONS, address)
    assert found.keys() == {
        *("AWS_ENDPOINT_URL_SQS", "AWS_ACCESS_KEY_ID"),
        *("AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"),
    }
    (tmp_path / ".aws").mkdir()
    assert queues.environ(FUNCTIONS, address) == {"AWS_ENDPOINT_URL_SQS": address}
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://elsewhere")
    assert queues.environ(FUNCTIONS, address) == {}
