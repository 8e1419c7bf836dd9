"""DynamoDB for chaos tests: moto's, behind a layer that refuses calls as AWS does under load."""

import copy
import json
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from moto.dynamodb import models
from moto.dynamodb.models.table import Table
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.app.table import make_rooms

Start = Callable[..., Any]

_NAMESPACE = "com.amazonaws.dynamodb.v20120810#"
_THROTTLED = {"__type": f"{_NAMESPACE}ThrottlingException", "message": "Rate exceeded"}
_EXCEEDED = {"__type": f"{_NAMESPACE}ProvisionedThroughputExceededException", "message": "Too fast"}
_CANCELLED = {
    "__type": f"{_NAMESPACE}TransactionCanceledException",
    "Message": "Transaction cancelled",
    "CancellationReasons": [{"Code": "ThrottlingError", "Message": "Slow down"}, {"Code": "None"}],
}


class DynamoDB:
    """A DynamoDB in front of which a part of the calls fail."""

    def __init__(self, chance: Random) -> None:
        self.trouble = 0.0
        self.refused = 0
        self.setting = f"dynamodb:rooms-{uuid.uuid4()}"
        self._chance = chance
        # One request at a time: moto's conditional writes are not atomic between threads.
        self._moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """Answer a call, as a WSGI application."""
        if self._chance.random() >= self.trouble:
            answer: Iterable[bytes] = self._moto(environ, start)
            return answer
        self.refused += 1
        if self._chance.random() < 0.3:  # it took effect, but the caller gets an error
            list(self._moto(environ, lambda *_: None))
            return _answer(start, "500 Internal Server Error", {"message": "Internal"})
        writes = "TransactWrite" in environ.get("HTTP_X_AMZ_TARGET", "")
        errors: list[Any] = [_THROTTLED, _EXCEEDED, *([_CANCELLED] if writes else [])]
        return _answer(start, "400 Bad Request", self._chance.choice(errors))

    def create(self) -> None:
        """Create the table."""
        make_rooms(self.setting.partition(":")[2])


def _answer(start: Start, status: str, body: dict[str, Any]) -> list[bytes]:
    start(status, [("Content-Type", "application/x-amz-json-1.0")])
    return [json.dumps(body).encode()]


def _amend_moto(patch: pytest.MonkeyPatch) -> None:
    """Make moto roll back failed transactions from a shallow copy of the table.

    Its deep copies make writes to a room of two hundred messages so slow that hosts' retries pile
    up.
    """

    def light(thing: Any) -> Any:
        copied = copy.copy(thing)
        if isinstance(thing, Table):
            copied.items = defaultdict(dict, {key: dict(of) for key, of in thing.items.items()})
        return copied

    patch.setattr(models, "copy", SimpleNamespace(copy=copy.copy, deepcopy=light))


class _Quiet(WSGIRequestHandler):
    """Answers requests without logging each of them."""

    def log_request(self, *_: object) -> None:
        pass


@contextmanager
def dynamodb(chance: Random) -> Iterator[DynamoDB]:
    """A server with an empty table, for all processes with these environment variables."""
    table = DynamoDB(chance)
    server = make_server("127.0.0.1", 0, table, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.port}")
        patch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        _amend_moto(patch)
        table.create()
        try:
            yield table
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
