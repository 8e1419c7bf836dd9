"""A cloud for rehearsals: moto's server, with the parts that moto does not create.

moto has no transforms, so SAM's is applied first. It does not create many kinds of resources, so
most are only recorded, with their properties resolved, for tests to read. Failures and rollbacks of
CloudFormation and ECS are imitated: a change that changes no resource, a VPC origin in use, hosts
that do not become healthy or cause an alarm. The deployer has a key of its own, and all calls with
it are recorded.
"""

import io
import logging
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from moto import mock_aws

# Created by moto, because programs in a rehearsal use them. All others are only recorded.
MADE = {"AWS::DynamoDB::Table", "AWS::SNS::Topic", "AWS::S3::Bucket"}

REGION = "eu-west-1"
ACCOUNT = "123456789012"
DEPLOYER = "deployer"  # the key whose calls are recorded

# CloudFormation's and ECS's own messages.
EMPTY = "The submitted information didn't contain changes. Submit different information."
IN_USE = (
    "Invalid request provided: AWS::CloudFront::VpcOrigin: The specified VPC origin is currently "
    "associated with one or more distributions."
)
BROKEN = "Error occurred during operation 'ECS Deployment Circuit Breaker was triggered'."
ALARMED = "Error occurred during operation 'A CloudWatch alarm was in ALARM state'."


# Attributes of recorded resources that a test needs, by Type.Name; others are made up.
ATTRIBUTES: dict[str, str] = {}


class Cloud:
    """The contents of the cloud, for tests."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.environ = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
        self.failing: dict[str, str] = {}  # resources whose creation fails, and why
        self.sick = False  # new hosts do not become healthy
        self.ringing: set[str] = set()  # alarms that go off once new hosts run
        self.hosts: dict[str, int] = {}  # number of running hosts, by stack
        self.calls: set[str] = set()  # the deployer's calls, such as s3:PutObject
        self.made = threading.Event()  # set when a stack has all of its resources

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name=REGION)

    def stack(self, name: str) -> Any:
        """moto's stack with a name."""
        from moto.cloudformation import models

        found = models.cloudformation_backends[ACCOUNT][REGION].stacks.values()
        (stack,) = [stack for stack in found if stack.name == name]
        return stack

    def resource(self, stack: str, name: str) -> Any:
        """The resource that moto has created or we have recorded."""
        return self.stack(stack).resource_map[name]

    def outputs(self, stack: str) -> dict[str, str]:
        (found,) = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        return {o["OutputKey"]: o["OutputValue"] for o in found["Outputs"]}

    def stock(self) -> dict[str, list[str]]:
        """Everything in the account, by kind and name."""
        s3 = self.client("s3")
        buckets = [b["Name"] for b in s3.list_buckets()["Buckets"]]
        objects = [s3.list_object_versions(Bucket=b).get("Versions", []) for b in buckets]
        stacks = self.client("cloudformation").describe_stacks()["Stacks"]
        repositories = self.client("ecr").describe_repositories()["repositories"]
        return {
            "stacks": sorted(s["StackName"] for s in stacks),
            "repositories": [r["repositoryName"] for r in repositories],
            "tables": self.client("dynamodb").list_tables()["TableNames"],
            "topics": [t["TopicArn"] for t in self.client("sns").list_topics()["Topics"]],
            "queues": self.client("sqs").list_queues().get("QueueUrls", []),
            "buckets": buckets,
            "objects": [o["Key"] for found in objects for o in found],
        }

    def zipped(self, stack: str) -> zipfile.ZipFile:
        """The function's zip, as uploaded."""
        code = self.resource(stack, "Pages").properties["Code"]
        found = self.client("s3").get_object(Bucket=code["S3Bucket"], Key=code["S3Key"])
        return zipfile.ZipFile(io.BytesIO(found["Body"].read()))


@contextmanager
def cloud_inside() -> Iterator[Cloud]:
    """A cloud that only this process can reach."""
    from tests.scripts.deploy.cloudformation import amend

    made = Cloud("")
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        amend(patch, made)
        yield made


@contextmanager
def cloud() -> Iterator[Cloud]:
    """A cloud that listens, for this process and those that get its `environ`."""
    from moto.server import ThreadedMotoServer

    from tests.scripts.deploy.cloudformation import amend

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    logging.getLogger("moto").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    # A host name, because bucket names cannot be added to a numeric address.
    made = Cloud(f"http://localhost:{server.get_host_and_port()[1]}")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in made.environ.items():
            patch.setenv(name, value)
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        amend(patch, made)
        yield made
    server.stop()
