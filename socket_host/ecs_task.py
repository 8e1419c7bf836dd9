"""The ECS task that the host runs in.

To stop a task, ECS first deregisters it from the load balancer, which closes the remaining
connections after the deregistration delay. Only then does ECS send SIGTERM, too late for a drain.
So the host polls ECS, and drains as soon as the task begins to stop. See docs/deploy.md for
sources.
"""

import asyncio
import logging
import random
import re
from typing import Any, Self

import aiohttp
import boto3  # type: ignore[import-untyped]  # boto3 and botocore ship no types
from botocore.config import Config  # type: ignore[import-untyped]  # as above
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # as above
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]  # as above

from socket_host.bus.serial_executor import SerialExecutor

_log = logging.getLogger(__name__)

POLL_SECONDS = 10.0  # on average; all hosts of an account share ECS's limit of calls
CALL_SECONDS = 5.0  # for connecting, and again for the response
# Time for the load balancer to send new connections elsewhere. A draining host refuses them, which
# counts as failures, and enough of those would roll the deployment back.
LEAVE_SECONDS = 5.0

_CONFIG = Config(
    connect_timeout=CALL_SECONDS, read_timeout=CALL_SECONDS, retries={"total_max_attempts": 1}
)
_METADATA_TIMEOUT = aiohttp.ClientTimeout(total=CALL_SECONDS)

_ARN = re.compile(r"arn:[^:]+:ecs:([^:]+):\d{12}:task/.+")


class TaskError(Exception):
    """The state of the task cannot be read; the message says why."""


class EcsTask:
    """The ECS task with that ARN, in a cluster."""

    def __init__(self, cluster: str, arn: str) -> None:
        if not (found := _ARN.fullmatch(arn)):
            raise TaskError(f"{arn!r} is not the ARN of a task")
        self._cluster = cluster
        self._arn = arn
        self._region = found[1]
        self._ecs: Any = None

    @classmethod
    async def read(cls, metadata: str) -> Self:
        """Return the task that a metadata endpoint describes, by its URL; raise TaskError."""
        try:
            async with (
                aiohttp.ClientSession(timeout=_METADATA_TIMEOUT) as http,
                http.get(f"{metadata}/task") as answer,
            ):
                found = await answer.json(content_type=None)
            return cls(str(found["Cluster"]), str(found["TaskARN"]))
        except (aiohttp.ClientError, OSError, ValueError, TypeError, KeyError) as error:
            raise TaskError(f"{metadata} does not answer as expected: {error!r}") from error

    def stopping(self) -> bool:
        """Return whether the task is being stopped; raise TaskError. Blocks."""
        try:
            if self._ecs is None:
                self._ecs = boto3.client("ecs", region_name=self._region, config=_CONFIG)
            found = self._ecs.describe_tasks(cluster=self._cluster, tasks=[self._arn])
        except (BotoCoreError, ClientError, ResponseParserError) as error:
            raise TaskError(str(error)) from error
        return any(
            task.get("desiredStatus") == "STOPPED" or task.get("lastStatus") == "DEACTIVATING"
            for task in found.get("tasks", ())
        )


async def wait_for_stop(metadata: str) -> None:
    """Return when the task with this metadata endpoint has left the load balancer.

    Errors are logged; if they persist, the host drains at SIGTERM.
    """
    calls = SerialExecutor("ecs-task")
    task: EcsTask | None = None
    try:
        while True:
            try:
                task = task or await EcsTask.read(metadata)
                if await calls(task.stopping):
                    break
            except TaskError as error:
                _log.warning("Cannot check whether ECS is stopping this task: %s", error)
            await asyncio.sleep(POLL_SECONDS * random.uniform(0.9, 1.1))
        await asyncio.sleep(LEAVE_SECONDS)
    finally:
        calls.stop()
