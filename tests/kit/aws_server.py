"""moto's server, for `python -m tests.kit.aws_server`: prints its port, and ends with its stdin.

It is a separate process, so that coverage does not slow it down, and it does not block the tests'
event loop.
"""

import copy
import sys
import time
from collections import defaultdict
from functools import cache
from threading import Lock, Thread
from types import SimpleNamespace
from typing import Any

from moto import backends
from moto.dynamodb import models as dynamodb
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sqs import models as sqs
from werkzeug.serving import WSGIRequestHandler, make_server


class Quiet(WSGIRequestHandler):
    """Answers requests without logging each of them."""

    def log_request(self, *_: object) -> None:
        pass


def _deepcopy(thing: Any) -> Any:
    """Copy a table without what its items hold, which moto copies before each transaction."""
    if not isinstance(thing, Table):
        return copy.deepcopy(thing)
    copied = copy.copy(thing)
    copied.items = defaultdict(dict, {key: dict(of) for key, of in thing.items.items()})
    return copied


# What moto's DynamoDB takes for the module `copy`.
LIGHT = SimpleNamespace(copy=copy.copy, deepcopy=_deepcopy)


def main() -> None:
    """Serve until stdin is closed."""
    amend()
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    Thread(target=server.serve_forever, daemon=True).start()
    print(server.port, flush=True)
    sys.stdin.read()


def amend() -> None:
    """Change parts of moto that would make tests slow or unreliable."""
    # moto computes these for every request, and several times for every waiting message.
    modules = list(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules
    sqs.camelcase_to_underscores = cache(sqs.camelcase_to_underscores)
    sqs.unix_time_millis = lambda *_: time.time() * 1_000
    # Without the lock, a message that arrives at the same time is lost.
    delete = sqs.Queue.delete_message

    def delete_message(self: sqs.Queue, receipt_handle: str) -> None:
        with self._messages_lock:
            delete(self, receipt_handle)

    sqs.Queue.delete_message = delete_message
    # moto checks a condition and writes without a lock, so threads can interfere.
    answer, one_at_a_time = DynamoHandler.call_action, Lock()

    def call_action(self: DynamoHandler) -> Any:
        with one_at_a_time:
            return answer(self)

    DynamoHandler.call_action = call_action
    dynamodb.copy = LIGHT


if __name__ == "__main__":
    main()
