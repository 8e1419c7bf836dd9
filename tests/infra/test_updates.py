"""How changes of the template or its parameters affect a stack, rehearsed without sam."""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from scripts.commands.deploy.stack import Stack
from scripts.commands.dev.template import load
from tests.infra.templates import Json, properties, references, schema, written
from tests.scripts.deploy.rehearsal import EMPTY, Cloud, cloud_inside

pytestmark = pytest.mark.together("template")

NAME = "sidepath"
IMAGE = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/sidepath@sha256:{'0' * 64}"
NEXT_IMAGE = IMAGE.replace("0" * 64, "1" * 64)
FAILED = "UPDATE_ROLLBACK_COMPLETE"
NUMBERS = count()

# Other values for parameters that are texts, and the parameters that each needs.
_CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/1-2-3"
_DOMAIN = {"Domain": "chat.example.com", "Certificate": _CERTIFICATE}
OTHERS = {
    "Image": {"Image": NEXT_IMAGE},
    "Domain": _DOMAIN,
    "Certificate": _DOMAIN,
    "SecretVersion": {"SecretVersion": "1-2-3"},
    "WebAcl": {"WebAcl": "arn:aws:wafv2:us-east-1:123456789012:global/webacl/a/1-2-3"},
}


def source() -> Json:
    """The template as uploaded by sam."""
    template: Json = load(written())
    template["Resources"]["Pages"]["Properties"]["CodeUri"] = "s3://bucket/key"
    return template


def others() -> dict[str, dict[str, str]]:
    """A value other than the default for each parameter."""
    found = {}
    for name, declared in source()["Parameters"].items():
        match declared:
            case {"AllowedValues": allowed, "Default": default}:
                (other, *_) = [value for value in allowed if value != default]
                found[name] = {name: other}
            case {"Type": "Number", "Default": default}:
                found[name] = {name: str(default + 1)}
            case _:
                found[name] = OTHERS[name]
    return found


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """A cloud with the stack in it."""
    with cloud_inside() as made:
        assert change(made, "CREATE", Image=IMAGE) == "CREATE_COMPLETE"
        yield made


def change(cloud: Cloud, kind: str = "UPDATE", template: Json | None = None, **given: str) -> str:
    """Change the stack as `sam deploy` does; return its status, or why there is no change."""
    template = template or source()
    names = [name for name in template["Parameters"] if kind == "UPDATE" or name in given]
    parameters: list[dict[str, Any]] = [
        {"ParameterKey": name, "ParameterValue": given[name]}
        if name in given
        else {"ParameterKey": name, "UsePreviousValue": True}
        for name in names
    ]
    client = cloud.client("cloudformation")
    id_ = client.create_change_set(
        StackName=NAME,
        ChangeSetName=f"change-{next(NUMBERS)}",
        ChangeSetType=kind,
        TemplateBody=json.dumps(template),
        Parameters=parameters,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )["Id"]
    found = client.describe_change_set(ChangeSetName=id_, StackName=NAME)
    if found["Status"] == "FAILED":
        return str(found["StatusReason"])
    client.execute_change_set(ChangeSetName=id_, StackName=NAME)
    return str(client.describe_stacks(StackName=NAME)["Stacks"][0]["StackStatus"])


def image(cloud: Cloud) -> str:
    """The image of the running hosts."""
    (container,) = cloud.resource(NAME, "HostTask").properties["ContainerDefinitions"]
    found: str = container["Image"]
    return found


# ---- The number of hosts ----


def test_first_deployment_ends_with_min_hosts(cloud: Cloud) -> None:
    """The smallest number of hosts runs, though ECS starts with one."""
    assert cloud.hosts[NAME] == 2


def test_deployment_keeps_the_scale(cloud: Cloud) -> None:
    """Hosts that autoscaling has added stay when the image changes."""
    cloud.hosts[NAME] = 3
    assert change(cloud, Image=NEXT_IMAGE) == "UPDATE_COMPLETE"
    assert image(cloud) == NEXT_IMAGE
    assert cloud.hosts[NAME] == 3


def test_bounds_of_the_scale_take_effect(cloud: Cloud) -> None:
    """A higher minimum or a lower maximum takes effect at once."""
    assert change(cloud, MinHosts="4") == "UPDATE_COMPLETE"
    assert cloud.hosts[NAME] == 4
    assert change(cloud, MinHosts="1", MaxHosts="3") == "UPDATE_COMPLETE"
    assert cloud.hosts[NAME] == 3


# ---- What counts as a change, and what CloudFront refuses ----


def with_data() -> Json:
    """The template with a table that DataOnDelete applies to, and one that is always kept."""
    template = source()
    properties_ = {
        "AttributeDefinitions": [{"AttributeName": "key", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "key", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    for name, policy in (("Data", {"Ref": "DataOnDelete"}), ("Archive", "Retain")):
        table = {"Type": "AWS::DynamoDB::Table", "Properties": properties_}
        template["Resources"][name] = table | {"DeletionPolicy": policy}
    return template


def test_policy_alone_is_no_change() -> None:
    """Like CloudFormation, the rehearsal ignores a change of only a deletion policy."""
    template = with_data()
    del properties(template, "Alarms")["Tags"]
    with cloud_inside() as cloud:
        assert change(cloud, "CREATE", template, Image=IMAGE) == "CREATE_COMPLETE"
        assert change(cloud, template=template, DataOnDelete="Retain") == EMPTY


@pytest.mark.parametrize("name", others())
def test_parameter_alone(name: str, cloud: Cloud) -> None:
    """Each parameter alone changes a resource, and none changes the VPC origin."""
    assert change(cloud, **others()[name]) == "UPDATE_COMPLETE"


def test_data_is_kept_from_now_on(cloud: Cloud) -> None:
    """Keeping data, as the only change, affects each table; so does undoing it."""
    template = with_data()
    assert change(cloud, template=template) == "UPDATE_COMPLETE"
    stack = Stack(cloud.client("cloudformation"), NAME)
    assert stack.data() == {"Data"}
    for value, kept in (("Retain", {"Data", "Archive"}), ("Delete", {"Archive"})):
        assert change(cloud, template=template, DataOnDelete=value) == "UPDATE_COMPLETE"
        assert stack.retained() == kept
        assert stack.kept().keys() == kept


def test_vpc_origin_is_refused_any_change(cloud: Cloud) -> None:
    """Like CloudFront, the rehearsal refuses any change of the VPC origin, even of a tag."""
    tagged = source()
    properties(tagged, "BalancerOrigin")["Tags"] = [{"Key": "team", "Value": "a"}]
    assert change(cloud, template=tagged) == FAILED


def test_nothing_replaces_the_balancer(template: Json) -> None:
    """The VPC origin's dependencies, down to the zones, depend on no parameter.

    CloudFormation's schemas say which properties replace a resource when they change.
    """
    waiting, seen = ["BalancerOrigin"], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        fixed = unchangeable(template, name)
        assert not references_of_parameters(template, fixed), name
        waiting += [other for other in references(fixed) if other in template["Resources"]]
    assert {"Balancer", "Network"} <= seen


def unchangeable(template: Json, name: str) -> Json:
    """The properties whose change would replace a resource."""
    resource = template["Resources"][name]
    if resource["Type"] in ("AWS::CloudFront::VpcOrigin", "Custom::RegionDetails"):
        whole: Json = resource["Properties"]
        return whole
    found = schema(resource["Type"])
    names = {path.split("/")[2] for path in found.get("createOnlyProperties", ())}
    # A load balancer can get other subnets, but not other zones while it is a VPC origin.
    names |= {"Subnets"} if name == "Balancer" else set()
    return {k: v for k, v in resource.get("Properties", {}).items() if k in names}


def references_of_parameters(template: Json, value: Any) -> set[str]:
    """The parameters, and conditions on them, in a piece of a template."""
    return {name for name in references(value) if name in template["Parameters"]} | (
        {"Fn::If"} if "Fn::If" in json.dumps(value) else set()
    )


# ---- Rollback ----


def test_unhealthy_hosts(cloud: Cloud) -> None:
    """If new hosts fail their health check, the previous ones stay, with everything else."""
    cloud.sick = True
    assert change(cloud, Image=NEXT_IMAGE, MaxHosts="8") == FAILED
    assert image(cloud) == IMAGE
    assert cloud.resource(NAME, "HostCount").properties["MaxCapacity"] == 4
    assert cloud.hosts[NAME] == 2


@pytest.mark.parametrize("alarm", ["HostsFail", "HostUnhealthy"])
def test_hosts_that_fail_later(alarm: str, cloud: Cloud) -> None:
    """An alarm on the new hosts causes a rollback."""
    cloud.ringing = {alarm}
    assert change(cloud, Image=NEXT_IMAGE) == FAILED
    assert image(cloud) == IMAGE


def test_polls_cut_by_a_deployment_are_no_reason(cloud: Cloud) -> None:
    """Errors of the load balancer when a host stops cause no rollback."""
    cloud.ringing = {"BalancerFails"}
    assert change(cloud, Image=NEXT_IMAGE) == "UPDATE_COMPLETE"


def test_alarms_that_cause_a_rollback(template: Json) -> None:
    """The alarms watch hosts' responses and health, not the load balancer."""
    alarms = properties(template, "HostService")["DeploymentConfiguration"]["Alarms"]
    metrics = [properties(template, alarm["Ref"])["MetricName"] for alarm in alarms["AlarmNames"]]
    assert metrics == ["HTTPCode_Target_5XX_Count", "UnHealthyHostCount"]
