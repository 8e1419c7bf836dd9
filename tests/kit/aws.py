"""AWS for tests: a server that stands in for it, at the address that boto3 uses."""

import atexit
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from urllib.request import urlopen

import boto3
import pytest

from scripts.commands.dev.template import load
from tests.kit.hosts import ROOT


@contextmanager
def aws() -> Iterator[None]:
    """An empty stand-in for AWS, for this process and others with the same AWS_ variables."""
    url = _server()
    urlopen(f"{url}/moto-api/reset", data=b"").close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        patch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        yield


@cache
def _server() -> str:
    """Start the server, once for all tests because it starts slowly; return its address."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, "-m", "tests.kit.aws_server"]
    server = subprocess.Popen(
        command, cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(server.communicate)  # the end of its stdin ends it
    assert server.stdout
    return f"http://127.0.0.1:{int(server.stdout.readline())}"


def aws_environ() -> dict[str, str]:
    """The environment variables for a running stand-in of `aws`; empty if there is none."""
    if "AWS_ENDPOINT_URL" not in os.environ:
        return {}
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def make_table(resource: str) -> str:
    """Create the table of a resource in infra/template.yaml; return its name."""
    template = load((ROOT / "infra/template.yaml").read_text())
    kinds = {name: found["Type"] for name, found in template["Resources"].items()}
    tables = [name for name, kind in kinds.items() if kind == "AWS::DynamoDB::Table"]
    assert resource in tables, f"infra/template.yaml has no table {resource}, only {tables}"
    properties = template["Resources"][resource]["Properties"]
    wanted = ("KeySchema", "AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes")
    name = f"{resource}-{uuid.uuid4().hex[:8]}"
    boto3.client("dynamodb").create_table(
        TableName=name, **{part: properties[part] for part in wanted if part in properties}
    )
    return name


def make_queue(resource: str) -> str:
    """Create a queue with the name of a resource in infra/template.yaml; return its URL."""
    return str(boto3.client("sqs").create_queue(QueueName=resource)["QueueUrl"])
