"""The bus over AWS: one SNS FIFO topic, and a FIFO queue for each host.

Each sender's messages stay in order, because they are one message group.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import boto3  # type: ignore[import-untyped]  # ships no types

from functions.contract.bus import Topic
from socket_host.bus.aws import CONFIG, POLL_CONFIG, call
from socket_host.bus.outage import Outage
from socket_host.bus.outbox import Entry
from socket_host.bus.queue import HEARTBEAT_SECONDS, ORPHAN_SECONDS, HostQueue
from socket_host.bus.serial_executor import SerialExecutor
from socket_host.bus.shared import BusError, SharedBus

_log = logging.getLogger(__name__)

_LEAVE_SECONDS = 5.0  # to delete the queue in; otherwise another host deletes it later


class SnsBus(SharedBus):
    """A bus that is an SNS FIFO topic.

    boto3 finds credentials by itself. Its calls are made in three threads: one publishes, one waits
    for messages, one maintains the queue.
    """

    BATCH = 10  # SNS's limit for one call

    def __init__(
        self,
        topic: Topic,
        *,
        heartbeat: float = HEARTBEAT_SECONDS,
        orphan: float = ORPHAN_SECONDS,
    ) -> None:
        super().__init__()
        self._topic = topic
        self._heartbeat = heartbeat
        self._orphan = orphan
        self._keeping = Outage(
            "The host cannot mark its queue as in use, so other hosts may delete it",
            "The host's queue is marked as in use again.",
        )
        self._outages.append(self._keeping)
        self._publish_calls = SerialExecutor("bus-publish")
        self._receive_calls = SerialExecutor("bus-receive")
        self._keep_calls = SerialExecutor("bus-keep")
        self._sns = boto3.client("sns", region_name=topic.region, config=CONFIG)
        self._sqs = boto3.client("sqs", region_name=topic.region, config=POLL_CONFIG)
        self._queue = HostQueue(topic, self._sns, self._sqs)

    async def start(self) -> None:
        """Start sending and receiving; return once subscribed, or after a few seconds."""
        await super().start()
        self._run(self._keep, self._keeping)

    async def _send(self, entries: list[Entry]) -> None:
        batch = [
            {
                "Id": str(number),
                "Message": str(entry.body, "utf-8"),
                "MessageGroupId": self.host_id,
                "MessageDeduplicationId": entry.message_id,
            }
            for number, entry in enumerate(entries)
        ]
        publish = partial(self._sns.publish_batch, TopicArn=self._topic.arn)
        answer = await call(
            self._publish_calls,
            partial(publish, PublishBatchRequestEntries=batch),
            f"the topic {self._topic.arn}",
        )
        if failures := answer.get("Failed"):
            self._refused(entries, {int(failure["Id"]): failure for failure in failures})

    def _refused(self, entries: list[Entry], failures: dict[int, dict[str, Any]]) -> None:
        """Put entries that SNS refused back at the front of the outbox.

        Later entries of the same batch have overtaken them, which cannot be undone.
        """
        unsent = []
        for number, failure in sorted(failures.items()):
            if failure["Code"].startswith("Invalid"):
                self._outbox.dropped += 1
                _log.error("Dropped a message that SNS will never accept: %s", failure)
            else:
                unsent.append(entries[number])
                why = f"SNS refused a message: {failure['Code']}"
        if unsent:
            raise BusError(why, unsent)

    async def _receive(self) -> AsyncIterator[bytes]:
        queue = self._queue
        await call(self._receive_calls, queue.open, self._both)
        where = f"the queue {queue.name}"
        wait = False  # the first time, to find out quickly whether it works
        while True:
            receive = partial(queue.receive, wait=wait)
            messages = await call(self._receive_calls, receive, where)
            self._receiving()
            for message in messages:
                yield message["Body"].encode("utf-8", "surrogatepass")  # may be invalid UTF-8
            if messages:
                await call(self._receive_calls, partial(queue.delete, messages), where)
            wait = True

    @property
    def _both(self) -> str:
        return f"the queue {self._queue.name} or the topic {self._topic.arn}"

    async def _keep(self) -> None:
        """Repeatedly mark the queue as in use and delete queues whose mark is too old."""
        while True:
            await asyncio.sleep(self._heartbeat * random.uniform(0.8, 1.2))  # not all hosts at once
            try:
                await call(self._keep_calls, self._queue.beat, self._both)
                sweep = partial(self._queue.sweep, self._orphan)
                await call(self._keep_calls, sweep, self._both)
            except BusError as error:
                self._keeping.begin(error)
            else:
                self._keeping.end()

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                await call(self._keep_calls, self._queue.close, self._both)
        except (BusError, TimeoutError) as error:
            _log.warning("The host's queue %s could not be deleted: %s", self._queue.name, error)
        for executor in (self._publish_calls, self._receive_calls, self._keep_calls):
            executor.stop()
        for client in (self._sns, self._sqs):
            client.close()
