"""The function queue: functions' emits, if the bus between hosts is Redis or Valkey.

Functions run outside the hosts' network and cannot reach a server in it, so they always publish to
SNS. One SQS FIFO queue receives their messages for all hosts. Whichever host receives a message
publishes it on the bus, to every host. So the cost of a message does not depend on the number of
hosts.
"""

from functools import partial

import boto3  # type: ignore[import-untyped]  # ships no types

from socket_host.bus.aws import POLL_CONFIG, call
from socket_host.bus.outage import Outage
from socket_host.bus.outbox import Entry, Outbox
from socket_host.bus.serial_executor import SerialExecutor
from socket_host.bus.shared import BusError
from socket_host.bus.sqs import SqsQueue


class FunctionQueue:
    """The queue with that URL. boto3 finds credentials and region by itself."""

    def __init__(self, url: str) -> None:
        self.outage = Outage(
            "Messages from functions do not arrive", "Messages from functions arrive again."
        )
        self._calls = SerialExecutor("function-queue")
        self._sqs = boto3.client("sqs", config=POLL_CONFIG)
        self._queue = SqsQueue(self._sqs, url)
        self._where = f"the queue {url}"

    async def pass_on(self, outbox: Outbox) -> None:
        """Move functions' emits into an outbox, until cancelled.

        A message is deleted from the queue only once the bus has it. If the host dies before that,
        another host receives the message; duplicates are recognised by their ids.
        """
        while True:
            try:
                await self._pass_on(outbox)
            except BusError as error:
                self.outage.begin(error)
                await self.outage.pause()
            else:
                self.outage.end()

    def close(self) -> None:
        """Stop making calls."""
        self._calls.stop()
        self._sqs.close()

    async def _pass_on(self, outbox: Outbox) -> None:
        messages = await call(self._calls, partial(self._queue.receive, wait=True), self._where)
        if not messages:
            return
        for message in messages:
            outbox.add(Entry("", message["Body"].encode("utf-8", "surrogatepass")))
        await outbox.sent()
        await call(self._calls, partial(self._queue.delete, messages), self._where)
