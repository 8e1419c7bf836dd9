"""The hosts' queues, which are not in the stack: each host creates and deletes its own."""

from typing import Any

from functions.contract.bus import Topic
from socket_host.bus.queue import prefix


def delete(sqs: Any, topic_arn: str) -> int:
    """Delete queues left behind by killed hosts; return how many. May raise ClientError."""
    names = prefix(Topic.parse(f"sns:{topic_arn}"))
    count = 0
    for page in sqs.get_paginator("list_queues").paginate(QueueNamePrefix=names):
        for url in page.get("QueueUrls", []):
            sqs.delete_queue(QueueUrl=url)
            count += 1
    return count
