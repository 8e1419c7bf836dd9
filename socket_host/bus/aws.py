"""boto3's blocking calls: made off the event loop, and raising BusError."""

from collections.abc import Callable
from typing import TypeVar

from botocore.config import Config  # type: ignore[import-untyped]  # botocore ships no types
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # as above
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]  # as above

from functions.contract.aws_error import explain
from socket_host.bus.serial_executor import SerialExecutor
from socket_host.bus.shared import BusError
from socket_host.bus.sqs import POLL_SECONDS

T = TypeVar("T")

# One try for each call: the bus itself retries, and reports the outage meanwhile.
CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1})
POLL_CONFIG = CONFIG.merge(Config(read_timeout=POLL_SECONDS + 5))


async def call(executor: SerialExecutor, function: Callable[[], T], resource: str) -> T:
    """Make a boto3 call about a resource; raise BusError if AWS refuses it or cannot be reached."""
    try:
        return await executor(function)
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        raise BusError(explain(error, resource)) from error
