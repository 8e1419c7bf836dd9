"""The stack in moto, as far as moto supports it."""

import ast
import io
import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.infra.roles import listed
from tests.infra.templates import Json, translate

IMAGE = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/team/sidepath@sha256:{'0' * 64}"


# moto does not create these, or fails on them.
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


# Resources that moto needs, because it checks references to them.
ZONES = {"Zone1": "us-east-1a", "Zone2": "us-east-1b"}


def without(value: Any, names: set[str]) -> Any:
    """A piece of a template with references to some resources replaced by made-up names."""
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
    """The stack as moto has created it."""

    ids: dict[str, str]
    outputs: dict[str, str]

    def statements(self, role: str) -> list[Json]:
        iam = boto3.client("iam")
        found: list[Json] = []
        for name in iam.list_role_policies(RoleName=self.ids[role])["PolicyNames"]:
            policy = iam.get_role_policy(RoleName=self.ids[role], PolicyName=name)
            document = policy["PolicyDocument"]
            # moto stores a role's policy as Python's repr.
            read = ast.literal_eval(document) if isinstance(document, str) else document
            found += read["Statement"]
        return found

    def resources(self, role: str, action: str) -> list[str]:
        """The resources on which a role allows an action."""
        return [
            resource
            for statement in self.statements(role)
            if action in listed(statement["Action"])
            for resource in listed(statement["Resource"])
        ]


@contextmanager
def stack(*, yours: bool = False) -> Iterator[Stack]:
    """The stack, with or without your parts."""
    template = translate(yours=yours)
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
            # moto lists a resource that a condition omits, without a name.
            {n: r.get("PhysicalResourceId", "") for r in made if (n := r.get("LogicalResourceId"))},
            {o["OutputKey"]: o["OutputValue"] for o in described["Outputs"]},
        )


def _put_code() -> None:
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as file:
        file.writestr("functions/app.py", "")
    boto3.client("s3").create_bucket(Bucket="bucket")
    boto3.client("s3").put_object(Bucket="bucket", Key="key", Body=zipped.getvalue())
