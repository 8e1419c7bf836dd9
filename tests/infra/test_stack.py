"""A rehearsal: the stack in moto, as far as moto supports it, and the real code that uses it."""

import fnmatch
from collections.abc import Iterator

import boto3
import pytest

from functions.contract.bus import Topic
from socket_host.bus.queue import HostQueue
from socket_host.settings import Settings
from tests.infra import stack as stacks
from tests.infra.stack import IMAGE, Stack
from tests.kit.hosts import SECRET

pytestmark = pytest.mark.together("template")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with stacks.stack() as made:
        yield made


def test_bus_in_the_stack(stack: Stack) -> None:
    """A host creates its queue for the stack's topic, under a name that its role allows."""
    topic = Topic.parse(f"sns:{stack.outputs['BusTopic']}")
    queue = HostQueue(topic, boto3.client("sns"), boto3.client("sqs"))
    queue.open()
    (pattern,) = stack.resources("HostRole", "sqs:CreateQueue")
    assert fnmatch.fnmatchcase(queue.arn, pattern)
    queue.close()
    assert len(f"{topic.name}-host-") < 80 - len("0123456789abcdef.fifo")
    assert stack.resources("HostRole", "sns:Publish") == [topic.arn]
    assert stack.resources("PagesRole", "sns:Publish") == [topic.arn]


def test_image_in_the_stack(stack: Stack) -> None:
    """ECS may pull the image from its repository, whose name is part of the image's."""
    (repository,) = stack.resources("HostStartRole", "ecr:BatchGetImage")
    assert repository == "arn:aws:ecr:us-east-1:123456789012:repository/team/sidepath"


def test_host_settings_in_the_stack(stack: Stack) -> None:
    """A host accepts the task's environment and secret as settings."""
    ecs = boto3.client("ecs")
    task = ecs.describe_task_definition(taskDefinition=stack.ids["HostTask"])["taskDefinition"]
    (host,) = task["containerDefinitions"]
    environ = {e["name"]: e["value"] for e in host["environment"]}
    settings = Settings.from_environ(environ | {s["name"]: SECRET for s in host["secrets"] if s})
    assert settings.origins == ("https://edge.domainname.test",)
    assert (settings.bind, settings.port) == ("0.0.0.0", 3200)
    assert environ["BUS"] == f"sns:{stack.outputs['BusTopic']}"
    assert host["image"] == IMAGE
    assert host["ulimits"] == [{"name": "nofile", "softLimit": 65535, "hardLimit": 65535}]
