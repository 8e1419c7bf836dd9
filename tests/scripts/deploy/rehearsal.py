"""A cloud for rehearsals: moto's server, with the parts that moto does not create.

moto has no transforms, so SAM's is applied first. It does not create many kinds of resources, so
most are only recorded, with their properties resolved, for tests to read. Failures and rollbacks of
CloudFormation and ECS are imitated: a change that changes no resource, a VPC origin in use, hosts
that do not become healthy or cause an alarm. The deployer has a key of its own, and all calls with
it are recorded.
"""

import copy
import io
import json
import logging
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar, Self

import boto3
import pytest
from moto import mock_aws
from moto.cloudformation import models, parsing
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.common_models import CloudFormationModel
from moto.core.responses import ActionResult
from moto.server import ThreadedMotoServer

from tests.infra import resolving
from tests.infra.templates import Json, transformed

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


class Kept(CloudFormationModel):
    """A resource that is only recorded: its properties, and invented attributes."""

    attributes: ClassVar[dict[str, str]] = {}  # by Type.Name, if a test needs a certain value

    def __init__(self, name: str, kind: str, properties: Json) -> None:
        self.physical_resource_id = name
        self.kind = kind
        self.properties = properties

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @staticmethod
    def cloudformation_type() -> str:
        return "Kept"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return True

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Json, *_: str, **rest: str
    ) -> Self:
        return cls(resource_name, rest["ResourceType"], cloudformation_json["Properties"])

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource: Self, new_resource_name: str, cloudformation_json: Json, **_: str
    ) -> Self:
        original_resource.properties = cloudformation_json["Properties"]
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(cls, *_: Any) -> None:
        pass

    def get_cfn_attribute(self, name: str) -> str:
        made_up = f"{self.physical_resource_id}.{name}".lower()
        return self.attributes.get(f"{self.kind}.{name}", made_up)

    def is_created(self) -> bool:
        return True


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
        self.calls: set[str] = set()  # of the deployer, such as s3:PutObject
        self.made = threading.Event()  # set when a stack has all of its resources

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name=REGION)

    def stack(self, name: str) -> models.Stack:
        """moto's stack with a name."""
        found = models.cloudformation_backends[ACCOUNT][REGION].stacks.values()
        (stack,) = [stack for stack in found if stack.name == name]
        return stack

    def resource(self, stack: str, name: str) -> Any:
        """The resource as moto, or one of our stand-ins, has created it."""
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
    made = Cloud("")
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        _amend_moto(patch, made)
        yield made


@contextmanager
def cloud() -> Iterator[Cloud]:
    """A listening cloud, for this process and those that get its `environ`."""
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
        _amend_moto(patch, made)
        yield made
    server.stop()


def _amend_moto(patch: pytest.MonkeyPatch, cloud: Cloud) -> None:
    parse, class_of = cache(models.Stack.parse_template), parsing.resource_class_from_type
    create = models.CloudFormationBackend.create_change_set
    transform = cache(lambda text: transformed(copy.deepcopy(parse(text))))

    def parse_template(template: str) -> Json:
        transforms = "Transform" in parse(template)
        return copy.deepcopy((transform if transforms else parse)(template))

    def parse_change(self: models.ChangeSet) -> None:
        self.template_dict = parse_template(self.template)

    def resource_class_from_type(kind: str) -> type[CloudFormationModel]:
        return class_of(kind) if kind in MADE else Kept

    def create_change_set(self: models.CloudFormationBackend, **given: Any) -> tuple[str, str]:
        id_, stack_id = create(self, **given)
        _refuse_if_empty(self.change_sets[id_])
        return id_, stack_id

    def execute(self: models.CloudFormationBackend, change_set_name: str, stack_name: str) -> None:
        _execute(self.describe_change_set(change_set_name), cloud)

    def get_template(self: CloudFormationResponse) -> ActionResult:
        stack = self.cloudformation_backend.get_stack(self._get_param("StackName"))
        processed = self._get_param("TemplateStage") == "Processed"
        body = _processed(stack) if processed else stack.template
        return ActionResult({"TemplateBody": body})

    def watch(self: Any, *_: Any) -> None:
        scope = re.search(r"Credential=(\w+)/\d+/[\w-]+/([\w-]+)/", self.headers["Authorization"])
        if scope and scope[1] == DEPLOYER:
            cloud.calls.add(f"{scope[2]}:{self._get_action()}")

    patch.setattr(models.Stack, "parse_template", staticmethod(parse_template))
    patch.setattr(models.ChangeSet, "_parse_template", parse_change)
    patch.setattr(parsing, "resource_class_from_type", resource_class_from_type)
    patch.setattr(models.CloudFormationBackend, "create_change_set", create_change_set)
    patch.setattr(models.CloudFormationBackend, "execute_change_set", execute)
    patch.setattr(CloudFormationResponse, "get_template", get_template)
    patch.setattr(ActionAuthenticatorMixin, "_authenticate_and_authorize_action", watch)
    patch.setattr(models.Stack, "delete", _deleting(models.Stack.delete))


def _refuse_if_empty(change: models.ChangeSet) -> None:
    """Fail a change set that changes no resource, even if it changes policies."""
    if change.change_set_type == "UPDATE" and _before(change) == _after(change):
        change.status, change.execution_status = "FAILED", "UNAVAILABLE"
        change.status_reason = EMPTY


def _before(change: models.ChangeSet) -> dict[str, Json]:
    template = models.Stack.parse_template(change.stack.template)
    return resolving.resources(template, change.stack.parameters)


def _after(change: models.ChangeSet) -> dict[str, Json]:
    return resolving.resources(change.template_dict, change.parameters)


def _processed(stack: models.Stack) -> str:
    """The processed template, in which policies from a parameter are resolved."""
    template = models.Stack.parse_template(stack.template)
    resolver = resolving.Resolver(template, stack.parameters)
    for resource in template["Resources"].values():
        resource |= {k: resolver.filled(v) for k, v in resource.items() if k.endswith("Policy")}
    return json.dumps(template)


def _execute(change: models.ChangeSet, cloud: Cloud) -> None:
    """Execute a change set, or roll back if a resource fails, which moto cannot do."""
    stack, kind = change.stack, change.change_set_type
    stack._add_stack_event(f"{kind}_IN_PROGRESS", resource_status_reason="User Initiated")
    if failing := _failing(change, cloud):
        for name, reason in [*failing.items(), ("Edge", "Resource creation cancelled")]:
            _add_event(stack, name, f"{kind}_FAILED", reason)
        stack.status = "ROLLBACK_COMPLETE" if kind == "CREATE" else "UPDATE_ROLLBACK_COMPLETE"
    else:
        _scale(change, cloud)
        stack.template, stack.parameters = change.template, change.parameters
        stack._parse_template()
        _update(stack.resource_map, stack.template_dict, change.parameters)
        stack.output_map = stack._create_output_map()
        stack.status = f"{kind}_COMPLETE"
    change.execution_status = "EXECUTE_COMPLETE"
    stack._add_stack_event(stack.status)
    if "Pages" in stack.resource_map:
        cloud.made.set()


def _update(made: parsing.ResourceMap, template: Json, parameters: dict[str, str]) -> None:
    """Update moto's resources, but keep those that it cannot update, such as tables."""
    before = dict(made._parsed_resources)
    made.update(template, parameters)
    for name, resource in before.items():
        if name in made._parsed_resources and made._parsed_resources[name] is None:
            made._parsed_resources[name] = resource


def _failing(change: models.ChangeSet, cloud: Cloud) -> dict[str, str]:
    """The resources that fail in a change, and why."""
    after = _after(change)
    found = {name: why for name, why in cloud.failing.items() if name in after}
    if change.change_set_type == "CREATE":
        return found
    before = _before(change)
    for name, resource in before.items():
        if resource["Type"] == "AWS::CloudFront::VpcOrigin" and resource != after.get(name):
            found[name] = IN_USE
    if _touched(before, after):
        found |= _rolled_back(after["HostService"]["Properties"], cloud)
    return found


def _touched(before: dict[str, Json], after: dict[str, Json]) -> bool:
    """Whether a change includes the service."""
    return any(before.get(name) != after.get(name) for name in ("HostService", "HostTask"))


def _rolled_back(service: Json, cloud: Cloud) -> dict[str, str]:
    """Why ECS rolls back to the previous hosts, if it does."""
    configuration = service["DeploymentConfiguration"]
    both = {"Enable": True, "Rollback": True}
    if cloud.sick and configuration.get("DeploymentCircuitBreaker") == both:
        return {"HostService": BROKEN}
    alarms = configuration.get("Alarms", {})
    watched = {alarm["Ref"] for alarm in alarms.get("AlarmNames", ())}
    if cloud.ringing & watched and both.items() <= alarms.items():
        return {"HostService": ALARMED}
    return {}


def _scale(change: models.ChangeSet, cloud: Cloud) -> None:
    """Run as many hosts as ECS and autoscaling would after a change."""
    after = _after(change)
    if not {"HostService", "HostCount"} <= after.keys():
        return
    service, bounds = after["HostService"]["Properties"], after["HostCount"]["Properties"]
    name = change.stack.name
    if change.change_set_type == "CREATE":
        cloud.hosts[name] = int(service.get("DesiredCount", 1))
    elif "DesiredCount" in service and _touched(_before(change), after):
        cloud.hosts[name] = int(service["DesiredCount"])
    low, high = int(bounds["MinCapacity"]), int(bounds["MaxCapacity"])
    cloud.hosts[name] = min(max(cloud.hosts[name], low), high)


def _add_event(stack: models.Stack, name: str, status: str, reason: str) -> None:
    made = (stack.stack_id, stack.name, name, "", "AWS::Some::Resource", status, reason, None)
    stack.events.append(models.Event(*made))


def _deleting(delete: Callable[[models.Stack], None]) -> Callable[[models.Stack], None]:
    """Make a stack's deletion follow policies from a parameter."""

    def deleting(stack: models.Stack) -> None:
        for resource in stack.resource_map._resource_json_map.values():
            match resource:
                case {"DeletionPolicy": {"Ref": str(name)}}:
                    resource["DeletionPolicy"] = stack.resource_map.resolved_parameters[name]
        delete(stack)

    return deleting
