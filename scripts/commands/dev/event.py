"""Events for functions that no viewer calls: of schedules, of queues, from the terminal."""

import time
import uuid
from datetime import UTC, datetime
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


def of_queue(*bodies: str) -> Any:
    """Return the event of SQS for messages."""
    now = str(int(time.time() * 1000))
    return {
        "Records": [
            {
                "messageId": str(uuid.uuid4()),
                "receiptHandle": "none",
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": now,
                    "SenderId": _ACCOUNT,
                    "ApproximateFirstReceiveTimestamp": now,
                },
                "messageAttributes": {},
                "md5OfBody": "",
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{_REGION}:{_ACCOUNT}:queue",
                "awsRegion": _REGION,
            }
            for body in bodies
        ]
    }


def usual(settings: FunctionSettings, *, is_edge: bool) -> Any:
    """Return an example of a function's usual event: of its schedule, its queue, or for a page."""
    if settings.timers:
        return of_schedule(settings.timers[0], datetime.now(UTC))
    if settings.queue:
        return of_queue("{}")
    if is_edge:
        return http_api.event(OriginRequest("GET", "/", "", [], b"", "127.0.0.1", 0))
    return {}
