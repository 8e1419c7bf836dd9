"""An SQS queue from which this host receives messages. All calls block."""

from typing import Any

POLL_SECONDS = 20  # the longest that SQS holds a request; a message ends it at once

_TRIES = 3  # to delete messages

Message = dict[str, Any]


class SqsQueue:
    """A queue with a known URL. `sqs` is a boto3 client, whose exceptions are passed on."""

    def __init__(self, sqs: Any, url: str) -> None:
        self._sqs = sqs
        self._url = url

    def receive(self, *, wait: bool) -> list[Message]:
        """Return the next messages, at most ten; with `wait`, wait a while for them."""
        found = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=POLL_SECONDS if wait else 0,
        )
        return list(found.get("Messages", ()))

    def delete(self, messages: list[Message]) -> None:
        """Delete received messages; one that cannot be deleted will be received again."""
        entries = [
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
            for number, message in enumerate(messages)
        ]
        for _ in range(_TRIES):
            answer = self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)
            left = {failure["Id"] for failure in answer.get("Failed", ())}
            entries = [entry for entry in entries if entry["Id"] in left]
            if not entries:
                break
