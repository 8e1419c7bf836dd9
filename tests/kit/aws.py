"""AWS for tests: a server that answers as it does, where boto3 finds it."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import pytest
import yaml

from tests.kit.hosts import ROOT


@contextmanager
def aws() -> Iterator[None]:
    """A server that speaks AWS, empty, for any process that has these settings."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, "-m", "tests.kit.aws_server"]
    with (
        subprocess.Popen(
            command, cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        assert server.stdin
        assert server.stdout
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{int(server.stdout.readline())}")
        patch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        yield
        server.stdin.close()


def aws_environ() -> dict[str, str]:
    """The settings by which a process finds what `aws` plays; none outside of it."""
    if "AWS_ENDPOINT_URL" not in os.environ:
        return {}
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def make_table(resource: str) -> str:
    """Make the table that a resource of infra/template.yaml is; return its name."""
    template = yaml.load((ROOT / "infra/template.yaml").read_text(), _Loader)
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
    """Make a queue like one of infra/template.yaml, under its name there; return its URL."""
    return str(boto3.client("sqs").create_queue(QueueName=resource)["QueueUrl"])


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms, such as !Ref, as nothing: keys of tables have none."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
