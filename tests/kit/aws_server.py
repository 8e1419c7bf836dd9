"""moto's server, for `python -m tests.kit.aws_server`: prints its port, and ends with its stdin.

It is a separate process, so that coverage does not slow it down, and it does not block the tests'
event loop.
"""

import sys
import time
from functools import cache
from threading import Lock, Thread
from typing import Any

from moto import backends
from moto.dynamodb.responses import DynamoHandler
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sqs import models
from werkzeug.serving import WSGIRequestHandler, make_server


class Quiet(WSGIRequestHandler):
    """Answers requests without logging each of them."""

    def log_request(self, *_: object) -> None:
        pass


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
    # moto computes these for every request, and several times for every queued message.
    modules = list(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules
    models.camelcase_to_underscores = cache(models.camelcase_to_underscores)
    models.unix_time_millis = lambda *_: time.time() * 1_000
    # Without the lock, a message that arrives at the same time is lost.
    delete = models.Queue.delete_message

    def delete_message(self: models.Queue, receipt_handle: str) -> None:
        with self._messages_lock:
            delete(self, receipt_handle)

    models.Queue.delete_message = delete_message
    # moto checks a condition and writes without a lock, so threads can interfere.
    answer, one_at_a_time = DynamoHandler.call_action, Lock()

    def call_action(self: DynamoHandler) -> Any:
        with one_at_a_time:
            return answer(self)

    DynamoHandler.call_action = call_action


if __name__ == "__main__":
    main()
