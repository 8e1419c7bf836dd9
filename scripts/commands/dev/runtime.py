"""The function's process: imports the handler, then runs it for the Runtime API's invocations.

`python -m scripts.commands.dev.runtime HANDLER` uses AWS's own client if that is installed (it has
wheels for Linux only); with `--plain`, it uses the loop below.
"""

import importlib
import importlib.util
import inspect
import json
import os
import runpy
import sys
import time
import traceback
from collections.abc import Callable
from http.client import HTTPConnection, HTTPResponse
from typing import Any

from functions.contract.setting import StartError
from scripts.commands.dev import start_failure

Handler = Callable[[Any, Any], Any]

_VERSION = "/2018-06-01/runtime"


def main(handler: str, *options: str) -> None:
    """Import a handler, named module.name, and run it until scripts/dev ends."""
    api = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        # Not in AWS's client, which reports only the last line of an ImportError.
        function = _import(handler)
    except StartError as error:
        print(error, file=sys.stderr)
        api.call("POST", "/init/error", json.dumps({"errorType": "", "errorMessage": str(error)}))
        sys.exit(1)
    except (Exception, SystemExit) as error:
        text = start_failure.describe(error)
        print(text, end="", file=sys.stderr)
        told = _describe(error) | {"stackTrace": [text]}
        api.call("POST", "/init/error", json.dumps(told))
        sys.exit(1)
    if "--plain" in options or importlib.util.find_spec("awslambdaric") is None:
        api.serve(function)
    else:
        sys.argv = ["awslambdaric", handler]
        runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)


class RuntimeApi:
    """A client of the Runtime API."""

    def __init__(self, address: str) -> None:
        self._connection = HTTPConnection(address)

    def call(self, method: str, path: str, body: str = "") -> tuple[HTTPResponse, bytes]:
        """Return the response to one call, and its body."""
        self._connection.request(method, _VERSION + path, body)
        response = self._connection.getresponse()
        return response, response.read()

    def serve(self, handler: Handler) -> None:
        """Run the handler for one invocation after another."""
        while True:
            try:
                response, event = self.call("GET", "/invocation/next")
            except OSError:
                return  # scripts/dev has ended
            id_ = response.headers["Lambda-Runtime-Aws-Request-Id"]
            try:
                result = json.dumps(handler(json.loads(event), Context(response)))
                self.call("POST", f"/invocation/{id_}/response", result)
            except Exception as error:
                traceback.print_exc()
                self.call("POST", f"/invocation/{id_}/error", json.dumps(_describe(error)))


class Context:
    """The context argument of a handler, with what AWS's client gives it."""

    client_context = identity = tenant_id = None  # nothing calls the function that sets them

    def __init__(self, response: HTTPResponse) -> None:
        self.aws_request_id = response.headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = response.headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self._deadline = int(response.headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds that the handler may still take."""
        return max(0, self._deadline - int(time.time() * 1000))


def _import(handler: str) -> Handler:
    module, _, name = handler.rpartition(".")
    problem = f"The template says Handler: {handler}, and"
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if f"{module}.".startswith(f"{error.name}."):
            raise StartError(f"{problem} there is no module {error.name}.") from None
        raise
    function: Handler | None = getattr(imported, name, None)
    if not callable(function):
        raise StartError(f"{problem} {module} has no function {name}.")
    if inspect.iscoroutinefunction(function):
        raise StartError(f"{problem} that is an `async def`, which Lambda does not await.")
    return function


def _describe(error: BaseException) -> dict[str, Any]:
    return {
        "errorType": type(error).__name__,
        "errorMessage": str(error),
        "stackTrace": traceback.format_exception(error),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
