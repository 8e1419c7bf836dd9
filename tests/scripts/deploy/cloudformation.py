"""Patches for moto's CloudFormation: it records resources that moto cannot create, and refuses
changes that AWS refuses.

Import this module where it is used, because importing moto is slow.
"""

import copy
import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any, Self

import pytest
import yaml
from moto.cloudformation import models, parsing
from moto.cloudformation.responses import CloudFormationResponse
from moto.cloudformation.utils import yaml_tag_constructor
from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.common_models import CloudFormationModel
from moto.core.responses import ActionResult

from tests.infra import resolving
from tests.infra.templates import Json, transformed
from tests.scripts.deploy import rehearsal
from tests.scripts.deploy.rehearsal import Cloud


class _Loader(yaml.CLoader):
    """Reads YAML as moto does, but with libyaml, which takes a tenth of the time."""


_Loader.add_multi_constructor("", yaml_tag_constructor)


class Kept(CloudFormationModel):
    """A resource that is only recorded: its properties, and made-up attributes."""

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
        return rehearsal.ATTRIBUTES.get(f"{self.kind}.{name}", made_up)

    def is_created(self) -> bool:
        return True


def amend(patch: pytest.MonkeyPatch, cloud: Cloud) -> None:
    """Make moto's CloudFormation behave like AWS's."""
    class_of = parsing.resource_class_from_type
    create = models.CloudFormationBackend.create_change_set

    def parse_template(template: str) -> Json:
        transforms = "Transform" in _parse(template)
        return copy.deepcopy((_transform if transforms else _parse)(template))

    def parse_change(self: models.ChangeSet) -> None:
        self.template_dict = parse_template(self.template)

    def resource_class_from_type(kind: str) -> type[CloudFormationModel]:
        return class_of(kind) if kind in rehearsal.MADE else Kept

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
        if scope and scope[1] == rehearsal.DEPLOYER:
            cloud.calls.add(f"{scope[2]}:{self._get_action()}")

    patch.setattr(yaml, "Loader", _Loader)
    patch.setattr(models.Stack, "parse_template", staticmethod(parse_template))
    patch.setattr(models.ChangeSet, "_parse_template", parse_change)
    patch.setattr(parsing, "resource_class_from_type", resource_class_from_type)
    patch.setattr(models.CloudFormationBackend, "create_change_set", create_change_set)
    patch.setattr(models.CloudFormationBackend, "execute_change_set", execute)
    patch.setattr(CloudFormationResponse, "get_template", get_template)
    patch.setattr(ActionAuthenticatorMixin, "_authenticate_and_authorize_action", watch)
    patch.setattr(models.Stack, "delete", _deleting(models.Stack.delete))


_parse = cache(models.Stack.parse_template)


@cache
def _transform(text: str) -> Json:
    return transformed(copy.deepcopy(_parse(text)))


def _refuse_if_empty(change: models.ChangeSet) -> None:
    """Fail a change set that changes no resource, even if it changes deletion policies."""
    if change.change_set_type == "UPDATE" and _before(change) == _after(change):
        change.status, change.execution_status = "FAILED", "UNAVAILABLE"
        change.status_reason = rehearsal.EMPTY


def _before(change: models.ChangeSet) -> dict[str, Json]:
    template = models.Stack.parse_template(change.stack.template)
    return resolving.resources(template, change.stack.parameters)


def _after(change: models.ChangeSet) -> dict[str, Json]:
    return resolving.resources(change.template_dict, change.parameters)


def _processed(stack: models.Stack) -> str:
    """The processed template: deletion policies that depend on a parameter are resolved."""
    template = models.Stack.parse_template(stack.template)
    resolver = resolving.Resolver(template, stack.parameters)
    for resource in template["Resources"].values():
        resource |= {k: resolver.filled(v) for k, v in resource.items() if k.endswith("Policy")}
    return json.dumps(template)


def _execute(change: models.ChangeSet, cloud: Cloud) -> None:
    """Execute a change set, or roll back if a resource fails; in moto none ever does."""
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
    """Update moto's resources; moto would lose those that it cannot update, such as a table."""
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
            found[name] = rehearsal.IN_USE
    if _touched(before, after):
        found |= _rolled_back(after["HostService"]["Properties"], cloud)
    return found


def _touched(before: dict[str, Json], after: dict[str, Json]) -> bool:
    """Whether a change affects the service."""
    return any(before.get(name) != after.get(name) for name in ("HostService", "HostTask"))


def _rolled_back(service: Json, cloud: Cloud) -> dict[str, str]:
    """Why ECS rolls back to the previous hosts, if it does."""
    configuration = service["DeploymentConfiguration"]
    both = {"Enable": True, "Rollback": True}
    if cloud.sick and configuration.get("DeploymentCircuitBreaker") == both:
        return {"HostService": rehearsal.BROKEN}
    alarms = configuration.get("Alarms", {})
    watched = {alarm["Ref"] for alarm in alarms.get("AlarmNames", ())}
    if cloud.ringing & watched and both.items() <= alarms.items():
        return {"HostService": rehearsal.ALARMED}
    return {}


def _scale(change: models.ChangeSet, cloud: Cloud) -> None:
    """Set the number of hosts as ECS and autoscaling do after a change to either's limits."""
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
    """Make a stack's deletion respect policies that depend on a parameter."""

    def deleting(stack: models.Stack) -> None:
        for resource in stack.resource_map._resource_json_map.values():
            match resource:
                case {"DeletionPolicy": {"Ref": str(name)}}:
                    resource["DeletionPolicy"] = stack.resource_map.resolved_parameters[name]
        delete(stack)

    return deleting
