"""A host's own SQS queue: created at the start, marked as in use, deleted at the end.

All calls block. A host that was killed leaves its queue and subscription behind; other hosts delete
both when the mark is too old.
"""

import json
import logging
import secrets
import time
from collections.abc import Iterator
from typing import Any

from functions.contract.bus import Topic
from socket_host.bus.sqs import Message, SqsQueue

_log = logging.getLogger(__name__)

# Tags of a queue: its topic, and when its host was last seen.
_TOPIC = "sidepath:topic"
_SEEN = "sidepath:seen"  # seconds since 1970

HEARTBEAT_SECONDS = 60.0
ORPHAN_SECONDS = 5 * 60.0  # several marks: one may fail, and a host's clock may be wrong

_ATTRIBUTES = {
    "FifoQueue": "true",
    # Throughput limits apply to each sender, not to all of them together.
    "DeduplicationScope": "messageGroup",
    "FifoThroughputLimit": "perMessageGroupId",
    # Seconds. Short, because a response of SQS may get lost, and its messages then hold up later
    # ones. Handling ten messages for longer yields duplicates, which SeenMessages recognises.
    "VisibilityTimeout": "5",
    "MessageRetentionPeriod": "3600",  # messages an hour old are of no use
}


def prefix(topic: Topic) -> str:
    """Return the prefix of a topic's queue names; SQS allows 80 characters for a name."""
    return f"{topic.name[:48]}-host-"


def policy(topic: Topic, queue_arn: str) -> dict[str, Any]:
    """Return the policy that allows only the topic to put messages into a queue."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue_arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": topic.arn}},
            }
        ],
    }


class HostQueue(SqsQueue):
    """A FIFO queue that is subscribed to a topic.

    `sns` and `sqs` are boto3 clients, whose exceptions are passed on.
    """

    name: str
    arn: str
    _subscription: str  # empty while there is none, like `_url`

    def __init__(self, topic: Topic, sns: Any, sqs: Any) -> None:
        super().__init__(sqs, "")
        self._topic = topic
        self._sns = sns
        self._begin_anew()

    def open(self) -> None:
        """Create the queue and subscribe it, unless that has been done."""
        if not self._url:
            self._url = self._sqs.create_queue(
                QueueName=self.name,
                Attributes={**_ATTRIBUTES, "Policy": json.dumps(policy(self._topic, self.arn))},
                tags={_TOPIC: self._topic.arn, **_seen_now()},
            )["QueueUrl"]
        self._subscribe()

    def receive(self, *, wait: bool) -> list[Message]:
        """Return the next messages, at most ten; with `wait`, wait a while for them.

        If the queue has been deleted, the next `open` creates another.
        """
        try:
            return super().receive(wait=wait)
        except self._sqs.exceptions.QueueDoesNotExist:
            self._begin_anew()
            raise

    def beat(self) -> None:
        """Mark the queue as in use, and subscribe it again if its subscription was deleted."""
        if self._url:
            self._sqs.tag_queue(QueueUrl=self._url, Tags=_seen_now())
            self._subscribe()

    def close(self) -> None:
        """Delete the subscription and the queue."""
        try:
            if self._subscription:
                self._sns.unsubscribe(SubscriptionArn=self._subscription)
        finally:
            if self._url:
                self._sqs.delete_queue(QueueUrl=self._url)

    def sweep(self, orphan_seconds: float = ORPHAN_SECONDS) -> None:
        """Delete the topic's queues with old marks, and subscriptions without a queue."""
        used = {self.arn}
        for url in self._queues():
            if self._is_orphan(url, orphan_seconds):
                self._delete(url)
            else:
                used.add(self._arn(_name(url)))
        for endpoint, subscription in self._subscriptions():
            # Also check by name, because the list of queues may lack the newest.
            if endpoint not in used and not self._exists(_name(endpoint)):
                self._sns.unsubscribe(SubscriptionArn=subscription)
                _log.info("Deleted the subscription of a missing queue: %s.", endpoint)

    def _begin_anew(self) -> None:
        # A new name each time: that of a deleted queue cannot be used for a minute.
        self.name = f"{prefix(self._topic)}{secrets.token_hex(8)}.fifo"
        self.arn = self._arn(self.name)
        self._url = ""
        self._subscription = ""

    def _subscribe(self) -> None:
        self._subscription = self._sns.subscribe(
            TopicArn=self._topic.arn,
            Protocol="sqs",
            Endpoint=self.arn,
            Attributes={"RawMessageDelivery": "true"},
            ReturnSubscriptionArn=True,
        )["SubscriptionArn"]

    def _queues(self) -> Iterator[str]:
        pages = self._sqs.get_paginator("list_queues")
        for page in pages.paginate(QueueNamePrefix=prefix(self._topic)):
            yield from page.get("QueueUrls", ())

    def _subscriptions(self) -> Iterator[tuple[str, str]]:
        """Yield the endpoint and ARN of each subscription that a host has created."""
        start = self._arn(prefix(self._topic))
        pages = self._sns.get_paginator("list_subscriptions_by_topic")
        for page in pages.paginate(TopicArn=self._topic.arn):
            for found in page["Subscriptions"]:
                if found["Endpoint"].startswith(start):
                    yield found["Endpoint"], found["SubscriptionArn"]

    def _is_orphan(self, url: str, orphan_seconds: float) -> bool:
        if _name(url) == self.name:
            return False
        try:
            tags = self._sqs.list_queue_tags(QueueUrl=url).get("Tags", {})
        except self._sqs.exceptions.QueueDoesNotExist:
            return False  # its host, or another host's sweep, has deleted it
        if tags.get(_TOPIC) != self._topic.arn or _SEEN not in tags:
            return False  # not ours, despite its name
        return time.time() - float(tags[_SEEN]) > orphan_seconds

    def _delete(self, url: str) -> None:
        try:
            self._sqs.delete_queue(QueueUrl=url)
        except self._sqs.exceptions.QueueDoesNotExist:
            return
        _log.info("Deleted the queue of a host that no longer runs: %s.", _name(url))

    def _exists(self, name: str) -> bool:
        try:
            self._sqs.get_queue_url(QueueName=name)
        except self._sqs.exceptions.QueueDoesNotExist:
            return False
        return True

    def _arn(self, name: str) -> str:
        topic = self._topic
        return f"arn:{topic.partition}:sqs:{topic.region}:{topic.account}:{name}"


def _name(url_or_arn: str) -> str:
    return url_or_arn.replace(":", "/").rpartition("/")[2]


def _seen_now() -> dict[str, str]:
    return {_SEEN: f"{time.time():.1f}"}
