"""What is missing in AWS, or forbidden, is named in one sentence."""

import asyncio
from collections.abc import Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from functions.web.emit import EmitError
from functions.web.emitters import open_emitter
from socket_host.lease.dynamodb import DynamoDbLease
from socket_host.lease.row import LeaseError
from tests.kit.aws import aws

TOPIC = "arn:aws:sns:eu-west-1:123456789012:nowhere.fifo"


def read() -> None:
    DynamoDbLease("Nowhere", "events").read()


def emit() -> None:
    open_emitter(f"sns:{TOPIC}", "").emit("news")


@pytest.mark.parametrize(
    ("call", "kind", "name"),
    [(read, LeaseError, "the table Nowhere"), (emit, EmitError, f"the topic {TOPIC}")],
)
def test_missing(call: Callable[[], None], kind: type[Exception], name: str) -> None:
    """A wrong name is in the error."""
    with aws(), pytest.raises(kind, match=f"{name} does not exist in this account and region"):
        call()


@pytest.mark.parametrize(
    ("call", "kind", "name"),
    [(read, LeaseError, "the table Nowhere"), (emit, EmitError, f"the topic {TOPIC}")],
)
async def test_forbidden(
    call: Callable[[], None],
    kind: type[Exception],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A missing permission is in the error, with AWS's own words about whose it is."""
    words = "User: me is not authorized to perform: it"

    async def refuse(request: web.BaseRequest) -> web.StreamResponse:
        if "X-Amz-Target" in request.headers:  # DynamoDB
            return web.json_response(
                {"__type": "com.amazon.coral.service#AccessDeniedException", "Message": words},
                status=400,
            )
        error = f"<Error><Code>AuthorizationError</Code><Message>{words}</Message></Error>"
        return web.Response(text=f"<ErrorResponse>{error}</ErrorResponse>", status=403)

    async with RawTestServer(refuse) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", str(server.make_url("")))
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        with pytest.raises(kind, match=f"{name} may not be used; add the permission .*{words}"):
            await asyncio.to_thread(call)
