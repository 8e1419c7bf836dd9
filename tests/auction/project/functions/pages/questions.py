"""Questions to the auctioneer: a page sends them to a queue, and a function passes them on."""

import json
import os
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from functions.web.emit import EmitError
from functions.web.emitters import emitter_from
from functions.web.form import read_form
from functions.web.site import Site
from functions.web.visitor import visitor


async def ask(request: Request) -> Response:
    """Send a question to the queue."""
    import boto3  # slow to import

    text = (await read_form(request)).get("text", "")[:200]
    boto3.client("sqs").send_message(
        QueueUrl=Site.of(request).settings.own["QUESTIONS"],
        MessageBody=json.dumps({"name": visitor(request).name, "text": text}),
    )
    return RedirectResponse("/", 303)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Send questions to all browsers; those that cannot be sent are retried."""
    emitter, failed = emitter_from(os.environ), []
    for record in event["Records"]:
        question = json.loads(record["body"])
        news = {"text": f"{question['name']} asks: {question['text']}"}
        try:
            emitter.emit("news", news, namespace="/auction")
        except EmitError:
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}
