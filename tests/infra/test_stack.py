"""A rehearsal: the stack in moto, as far as moto goes, and the real code that uses it."""

import ast
import fnmatch
import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.contract.bus import Topic
from functions.model.dynamodb_room_log import DynamoDBRoomLog
from functions.model.settings import settings as declared
from socket_host.bus.queue import HostQueue
from socket_host.settings import Settings
from tests.infra.roles import listed
from tests.infra.templates import (
    Json,
    properties,
    translate,
)
from tests.kit.hosts import SECRET

IMAGE = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/team/sidepath@sha256:{'0' * 64}"


# moto makes nothing of these, or stumbles over them.
NOT_IN_MOTO = {
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::Stage",
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::CloudFront::Distribution",
    "AWS::CloudFront::VpcOrigin",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::Lambda::Alias",
    "AWS::Lambda::Permission",
    "AWS::Logs::MetricFilter",
    "AWS::SecretsManager::Secret",
    "Custom::RegionDetails",
}


# What moto looks at more closely than at a made-up name.
ZONES = {"Zone1": "us-east-1a", "Zone2": "us-east-1b"}


def without(value: Any, names: set[str]) -> Any:
    """A piece of a template in which references to some resources are made-up names."""
    match value:
        case {"Ref": str(name)} if name in names:
            return f"{name}.test".lower()
        case {"Fn::GetAtt": [str(name), str(attribute)]} if name in names:
            return ZONES.get(attribute, f"{name}.{attribute}.test".lower())
        case {"DependsOn": list(waits), **rest} if names & set(waits):
            return without(rest | {"DependsOn": [w for w in waits if w not in names]}, names)
        case dict():
            return {key: without(inner, names) for key, inner in value.items()}
        case list():
            return [without(inner, names) for inner in value]
        case str():
            return re.sub(
                r"\${(\w+)((?:\.\w+)?)}",
                lambda m: f"{m[1]}{m[2]}.test".lower() if m[1] in names else m[0],
                value,
            )
    return value


@dataclass
class Stack:
    """What moto made of the template."""

    ids: dict[str, str]
    outputs: dict[str, str]

    def statements(self, role: str) -> list[Json]:
        iam = boto3.client("iam")
        found: list[Json] = []
        for name in iam.list_role_policies(RoleName=self.ids[role])["PolicyNames"]:
            policy = iam.get_role_policy(RoleName=self.ids[role], PolicyName=name)
            document = policy["PolicyDocument"]
            # moto keeps what CloudFormation gives it in a role in Python's words.
            read = ast.literal_eval(document) if isinstance(document, str) else document
            found += read["Statement"]
        return found

    def resources(self, role: str, action: str) -> list[str]:
        """What a role may do an action to."""
        return [
            resource
            for statement in self.statements(role)
            if action in listed(statement["Action"])
            for resource in listed(statement["Resource"])
        ]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    template = translate()
    names = {n for n, r in template["Resources"].items() if r["Type"] in NOT_IN_MOTO}
    kept = {n: r for n, r in template["Resources"].items() if n not in names}
    body = json.dumps(without(template | {"Resources": kept}, names))
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        _put_code()
        cloudformation = boto3.client("cloudformation")
        cloudformation.create_stack(
            StackName="a-stack",
            TemplateBody=body,
            Parameters=[{"ParameterKey": "Image", "ParameterValue": IMAGE}],
            Capabilities=["CAPABILITY_IAM"],
        )
        (described,) = cloudformation.describe_stacks(StackName="a-stack")["Stacks"]
        assert described["StackStatus"] == "CREATE_COMPLETE"
        made = cloudformation.describe_stack_resources(StackName="a-stack")["StackResources"]
        yield Stack(
            {r["LogicalResourceId"]: r.get("PhysicalResourceId", "") for r in made},
            {o["OutputKey"]: o["OutputValue"] for o in described["Outputs"]},
        )


def _put_code() -> None:
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as file:
        file.writestr("functions/app.py", "")
    boto3.client("s3").create_bucket(Bucket="bucket")
    boto3.client("s3").put_object(Bucket="bucket", Key="key", Body=zipped.getvalue())


def test_rooms_in_the_stack(stack: Stack) -> None:
    """The room log works on the stack's table, which forgets by the attribute that it writes."""
    log = DynamoDBRoomLog(stack.outputs["Table"])
    log.append("lobby", id="1", author="ann", name="Ann", text="hello")
    assert [m.text for m in log.latest("lobby")] == ["hello"]
    dynamodb, table = boto3.client("dynamodb"), stack.outputs["Table"]
    forgets = properties(translate(), "Rooms")["TimeToLiveSpecification"]  # moto drops it
    assert forgets["Enabled"]
    for item in dynamodb.scan(TableName=table)["Items"]:
        assert item[forgets["AttributeName"]]["N"].isdecimal()
    arn = dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    assert stack.resources("HostRole", "dynamodb:PutItem") == [arn]
    assert stack.resources("PagesRole", "dynamodb:Query") == [arn]


def test_bus_in_the_stack(stack: Stack) -> None:
    """A host makes its queue for the stack's topic, under a name that its role allows."""
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
    """ECS may fetch the image from its repository, whose name is taken out of the image's."""
    (repository,) = stack.resources("HostStartRole", "ecr:BatchGetImage")
    assert repository == "arn:aws:ecr:us-east-1:123456789012:repository/team/sidepath"


def test_host_settings_in_the_stack(stack: Stack) -> None:
    """The task's environment, and the secret beside it, are settings that a host accepts."""
    ecs = boto3.client("ecs")
    task = ecs.describe_task_definition(taskDefinition=stack.ids["HostTask"])["taskDefinition"]
    (host,) = task["containerDefinitions"]
    environ = {e["name"]: e["value"] for e in host["environment"]}
    settings = Settings.from_environ(
        environ | {s["name"]: SECRET for s in host["secrets"]}, declared
    )
    assert settings.origins == ("https://edge.domainname.test",)
    assert settings.own["ROOM_LOG"] == f"dynamodb:{stack.outputs['Table']}"
    assert (settings.bind, settings.port) == ("0.0.0.0", 3200)
    assert environ["BUS"] == f"sns:{stack.outputs['BusTopic']}"
    assert host["image"] == IMAGE
    assert host["ulimits"] == [{"name": "nofile", "softLimit": 65535, "hardLimit": 65535}]
