"""Events for functions that no viewer calls: of schedules, of queues, from the terminal."""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import md5
from typing import Any

from scripts.commands.dev import http_api
from scripts.commands.dev.functions import FunctionSettings, Timer
from scripts.commands.dev.origin_request import OriginRequest

_REGION, _ACCOUNT = "us-east-1", "000000000000"


def of_schedule(timer: Timer, minute: datetime) -> Any:
    """Return EventBridge's event for a time."""
    if timer.event is not None:
        return timer.event
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": _ACCOUNT,
        "time": minute.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": _REGION,
        "resources": [f"arn:aws:events:{_REGION}:{_ACCOUNT}:rule/{timer.name}"],
        "detail": {},
    }


@dataclass(eq=False)
class Message:
    """A message in a queue, and how often a function has been called with it."""

    body: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    received: int = 0


def of_queue(queue: str, messages: Sequence[Message]) -> Any:
    """Return the event that SQS sends for messages."""
    now = str(int(time.time() * 1000))
    return {
        "Records": [
            {
                "messageId": message.id,
                "receiptHandle": "none",
                "body": message.body,
                "attributes": {
                    "ApproximateReceiveCount": str(message.received),
                    "SentTimestamp": now,
                    "SenderId": _ACCOUNT,
                    "ApproximateFirstReceiveTimestamp": now,
                },
                "messageAttributes": {
                    name: {key[0].lower() + key[1:]: value for key, value in attribute.items()}
                    for name, attribute in message.attributes.items()
                },
                "md5OfBody": md5(message.body.encode(), usedforsecurity=False).hexdigest(),
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{_REGION}:{_ACCOUNT}:{queue}",
                "awsRegion": _REGION,
            }
            for message in messages
        ]
    }


def usual(settings: FunctionSettings, *, is_edge: bool) -> Any:
    """Return an example of a function's usual event: of its schedule, its queue, or for a page."""
    if settings.timers:
        return of_schedule(settings.timers[0], datetime.now(UTC))
    if settings.queues:
        return of_queue(settings.queues[0].queue, [Message("{}", received=1)])
    if is_edge:
        return http_api.event(OriginRequest("GET", "/", "", [], b"", "127.0.0.1", 0))
    return {}
