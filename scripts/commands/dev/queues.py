"""A local stand-in for SQS: accepts messages, and calls the functions that read the queues.

It supports only the calls for sending, so that pages, event handlers and functions can send with
boto3, as in the cloud. Messages are kept in memory until scripts/dev ends. One that fails too often
goes to its queue's dead-letter queue.
"""

import asyncio
import hashlib
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scripts.commands.dev import background, event
from scripts.commands.dev.aws import KEYS, REGION
from scripts.commands.dev.event import Message
from scripts.commands.dev.functions import Functions, Queue, QueueEvent, dead_letters
from scripts.commands.dev.invocation import FunctionError
from scripts.terminal import say

TARGET = "AmazonSQS."  # prefix of the header X-Amz-Target
JSON = "application/x-amz-json-1.0"

MAX_WAITING = 10_000  # messages in a queue; further ones are refused
MAX_PAUSE = 30.0  # maximum seconds between attempts; the first pause is one second

Invoke = Callable[[str, Any], Awaitable[Any]]  # calls a function by name with an event


class QueueError(Exception):
    """A call was refused; `code` is SQS's error code."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Queues:
    """The template's queues. Each passes one batch at a time to the function that reads it."""

    def __init__(self, functions: Callable[[], Functions], invoke: Invoke) -> None:
        self._functions = functions
        self._invoke = invoke
        self._held: dict[Message, str] = {}  # queues, by message not yet handled or discarded
        self._waiting: dict[str, list[Message]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def answer(self, target: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Return the status and JSON of the response to a call, given its header X-Amz-Target."""
        try:
            return 200, self._call(target, json.loads(body))
        except QueueError as error:
            refused = error
        except (ValueError, TypeError, AttributeError):
            refused = QueueError("InvalidParameterValue", "This is not an SQS call")
        return 400, {"__type": f"com.amazonaws.sqs#{refused.code}", "message": str(refused)}

    async def stop(self) -> None:
        """Stop calling functions, and print which queues still have messages."""
        for queue, left in Counter(self._held.values()).items():
            say(f"{queue} had {left} message(s) left, which are lost.")
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _call(self, target: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        queue = urlsplit(str(arguments.get("QueueUrl", ""))).path.rpartition("/")[2]
        match target.removeprefix(TARGET):
            case "GetQueueUrl":
                return {"QueueUrl": self._checked(str(arguments.get("QueueName", "")))}
            case "SendMessage":
                return self._send(self._checked(queue), arguments)
            case "SendMessageBatch":
                self._checked(queue)
                entries = arguments.get("Entries", [])
                sent = [{"Id": each.get("Id"), **self._send(queue, each)} for each in entries]
                return {"Successful": sent, "Failed": []}
            case other:
                raise QueueError(
                    "UnsupportedOperation",
                    f"The queues of scripts/dev only accept messages; {other} is not supported",
                )

    def _checked(self, queue: str) -> str:
        known = self._functions().queues
        if queue not in known:
            raise QueueError(
                "QueueDoesNotExist",
                f"infra/template.yaml has no queue {queue}, only: {', '.join(known)}",
            )
        return queue

    def _send(self, queue: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        body = arguments.get("MessageBody")
        if not isinstance(body, str) or not body:
            raise QueueError("MissingParameter", "A message needs a MessageBody")
        if len(self._waiting.get(queue, ())) >= MAX_WAITING:
            raise QueueError("OverLimit", f"{queue} already has {MAX_WAITING:,} messages")
        message = Message(body, arguments.get("MessageAttributes") or {})
        self._put_later(queue, message, float(arguments.get("DelaySeconds") or 0))
        digest = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
        return {"MessageId": message.id, "MD5OfMessageBody": digest}

    def _put_later(self, queue: str, message: Message, seconds: float) -> None:
        self._held[message] = queue
        if seconds > 0:
            asyncio.get_running_loop().call_later(seconds, self._put, queue, message)
        else:
            self._put(queue, message)

    def _put(self, queue: str, message: Message) -> None:
        self._waiting.setdefault(queue, []).append(message)
        if queue not in self._tasks or self._tasks[queue].done():
            self._tasks[queue] = background.begin(f"Reading {queue}", self._read(queue))

    async def _read(self, queue: str) -> None:
        while waiting := self._waiting[queue]:
            found = self._functions().reader(queue)
            if found is None:
                say(f"No function in the template reads {queue}: {len(waiting)} message(s) lost.")
                for message in waiting:
                    del self._held[message]
                waiting.clear()
                return
            name, reads = found
            batch, self._waiting[queue] = waiting[: reads.batch], waiting[reads.batch :]
            failed = await self._failed(name, reads, batch)
            for message in batch:
                if message in failed:
                    self._try_again(name, queue, message)
                else:
                    del self._held[message]

    async def _failed(
        self, name: str, reads: QueueEvent, batch: Sequence[Message]
    ) -> list[Message]:
        """Call a function with messages; return those that failed."""
        for message in batch:
            message.received += 1
        try:
            result = await self._invoke(name, event.of_queue(reads.queue, batch))
        except FunctionError as error:
            say(f"{name} failed: {error.sentence}")  # its own output has the traceback
            return list(batch)
        if not reads.reports_failures or not isinstance(result, dict):
            return []
        failed = {each.get("itemIdentifier") for each in result.get("batchItemFailures") or ()}
        return [message for message in batch if message.id in failed]

    def _try_again(self, name: str, queue: str, message: Message) -> None:
        queues = self._functions().queues
        if message.received < queues.get(queue, Queue(tries=0)).tries:
            self._put_later(queue, message, min(2.0 ** (message.received - 1), MAX_PAUSE))
            return
        del self._held[message]
        failed = f"{name} failed {message.received} times on a message, which is now"
        target = dead_letters(queue, queues)
        if not target:
            say(f"{failed} discarded.")
        elif len(self._waiting.get(target, ())) >= MAX_WAITING:
            say(f"{failed} discarded, because {target} is full.")
        else:
            say(f"{failed} in {target}.")
            self._put_later(target, Message(message.body, message.attributes, message.id), 0)


def environ(functions: Functions, address: str) -> dict[str, str]:
    """Return settings with which boto3 finds the queues at an address, if a function reads one.

    boto3 needs credentials and a region even here, so made-up ones are added if there are none.
    """
    read = any(functions.reader(queue) for queue in functions.queues)
    if not read or "AWS_ENDPOINT_URL_SQS" in os.environ:
        return {}
    found = {"AWS_ENDPOINT_URL_SQS": address}
    named = {"AWS_ACCESS_KEY_ID", "AWS_PROFILE"} & os.environ.keys()
    if not named and not (Path.home() / ".aws").exists():
        found |= {**KEYS, "AWS_DEFAULT_REGION": REGION}
    return found
