"""In ECS a host drains when its task begins to stop, before its clients are cut off."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from socket_host import ecs_task
from socket_host.__main__ import serve
from socket_host.ecs_task import EcsTask, TaskError, wait_for_stop
from tests.kit.clients import clients
from tests.kit.hosts import PATIENCE, settings, token
from tests.kit.waiting import until
from tests.small_app.events import namespaces as small_app

CLUSTER = "arn:aws:ecs:eu-west-1:123456789012:cluster/sidepath"
ARN = "arn:aws:ecs:eu-west-1:123456789012:task/sidepath/0123456789abcdef"


class Ecs:
    """A task's metadata endpoint, and the call of ECS's API that describes tasks."""

    def __init__(self) -> None:
        self.task = {"taskArn": ARN, "lastStatus": "RUNNING", "desiredStatus": "RUNNING"}
        self.refuses = False
        self.asked = asyncio.Event()
        self.ready = asyncio.Event()
        self.ready.set()

    async def metadata(self, request: web.Request) -> web.Response:
        await self.ready.wait()
        return web.json_response({"Cluster": CLUSTER, "TaskARN": ARN})

    async def api(self, request: web.Request) -> web.Response:
        assert request.headers["X-Amz-Target"].endswith(".DescribeTasks")
        assert json.loads(await request.read()) == {"cluster": CLUSTER, "tasks": [ARN]}
        self.asked.set()
        if self.refuses:
            return web.json_response({"__type": "AccessDeniedException"}, status=400)
        return web.json_response({"tasks": [self.task], "failures": []})


@pytest.fixture
def ecs() -> Ecs:
    return Ecs()


@pytest.fixture
async def address(ecs: Ecs, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """The address of both, which boto3 finds in the environment."""
    app = web.Application()
    app.add_routes([web.get("/v4/1/task", ecs.metadata), web.post("/", ecs.api)])
    async with TestServer(app) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", str(server.make_url("")))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setattr(ecs_task, "POLL_SECONDS", 0.01)
        monkeypatch.setattr(ecs_task, "LEAVE_SECONDS", 0.01)
        yield str(server.make_url("/v4/1"))


async def test_deregistered_task_is_noticed(ecs: Ecs, address: str) -> None:
    """A task that leaves the load balancer is being stopped; one that is unknown is not."""
    ecs.refuses = True
    waiting = asyncio.create_task(wait_for_stop(address))
    async with asyncio.timeout(PATIENCE):
        await ecs.asked.wait()
        ecs.refuses = False
        for _ in range(2):
            ecs.asked.clear()
            await ecs.asked.wait()
        assert not waiting.done()
        ecs.task |= {"lastStatus": "DEACTIVATING", "desiredStatus": "STOPPED"}
        await waiting


async def test_host_drains(
    ecs: Ecs, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A host whose task begins to stop disconnects its clients and exits, without a signal."""
    ecs.ready.clear()
    ecs.task["lastStatus"] = "DEACTIVATING"
    printed = ""

    def listening() -> bool:
        nonlocal printed
        printed += capsys.readouterr().out
        return "listening on" in printed

    configured = settings(tmp_path, drain_seconds=0.1, ecs_metadata=address)
    running = asyncio.create_task(serve(configured, small_app))
    async with clients() as people, asyncio.timeout(PATIENCE):
        await until(listening)
        ann = await people.connect(
            printed.split()[-1], token("Ann"), client={"reconnection": False}
        )
        assert not running.done()
        ecs.ready.set()
        await ann.receive("disconnect")
        await running


async def test_invalid_metadata() -> None:
    """A missing endpoint, or an unexpected response, is an error with a reason."""
    with pytest.raises(TaskError, match="does not answer as expected"):
        await EcsTask.read("http://127.0.0.1:1")
    with pytest.raises(TaskError, match="is not the ARN of a task"):
        EcsTask("cluster", "arn:aws:ecs:eu-west-1:123456789012:service/a")
