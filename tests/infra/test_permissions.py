"""Networks and roles allow what the code does, and nothing else."""

import json
import re
from pathlib import Path

import pytest

from scripts import ROOT
from tests import line
from tests.infra.calls import CLIENTS, called, parsed
from tests.infra.roles import allowed, statements
from tests.infra.templates import (
    SOURCE,
    Json,
    container,
    of_kind,
    properties,
    references,
    translate,
)

pytestmark = pytest.mark.together("template")


def test_only_cloudfront_comes_in(template: Json) -> None:
    """Only CloudFront may connect to the load balancer, and only that to a host."""
    assert properties(template, "Balancer")["Scheme"] == "internal"
    assert not of_kind(template, "AWS::EC2::SecurityGroupIngress")
    groups = of_kind(template, "AWS::EC2::SecurityGroup")
    sources = {}
    for name, group in groups.items():
        (rule,) = group["SecurityGroupIngress"]
        sources[name] = {k: v for k, v in rule.items() if k.startswith(("Source", "Cidr"))}
    assert sources == {
        "BalancerGroup": {
            "SourcePrefixListId": {"Fn::GetAtt": ["RegionDetails", "CloudFrontPrefixList"]}
        },
        "HostGroup": {"SourceSecurityGroupId": {"Ref": "BalancerGroup"}},
        "BusGroup": {"SourceSecurityGroupId": {"Ref": "HostGroup"}},
    }
    assert properties(template, "Balancer")["SecurityGroups"] == [{"Ref": "BalancerGroup"}]
    network = properties(template, "HostService")["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["SecurityGroups"] == [{"Ref": "HostGroup"}]
    name = properties(template, "RegionDetails")["PrefixList"]
    assert name == "com.amazonaws.global.cloudfront.origin-facing"


def test_balancer_has_no_way_out(template: Json) -> None:
    """The load balancer's subnets have no routes to the internet."""
    routed = of_kind(template, "AWS::EC2::SubnetRouteTableAssociation").values()
    private = properties(template, "Balancer")["Subnets"]
    assert not [r for r in routed if r["SubnetId"] in private]


def test_host_is_confined(template: Json) -> None:
    """A host is unprivileged, has a read-only root, and gets the secret from Secrets Manager."""
    host = container(template)
    assert host["User"] == "10001:10001"
    assert host["ReadonlyRootFilesystem"] is True
    assert host["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
    session, bus = host["Secrets"]
    assert session == {"Name": "SESSION_SECRET", "ValueFrom": {"Ref": "SessionSecret"}}
    password = {"Name": "BUS_PASSWORD", "ValueFrom": {"Ref": "BusSecret"}}
    assert bus == {"Fn::If": ["OnValkey", password, {"Ref": "AWS::NoValue"}]}
    assert not {"SESSION_SECRET", "BUS_PASSWORD"} & {e["Name"] for e in host["Environment"]}
    assert not {"SessionSecret", "BusSecret"} & set(references(translate()["Outputs"]))


def test_roles_are_written_here(template: Json) -> None:
    """Roles have only the template's own policies, without wildcard actions."""
    roles = of_kind(template, "AWS::IAM::Role")
    assert set(roles) == {"PagesRole", "HostRole", "HostStartRole", "FindRegionDetailsRole"}
    for name, role in roles.items():
        assert "ManagedPolicyArns" not in role
        assert not any("*" in action for action in allowed(template, name))


def test_wildcards_have_reasons(template: Json) -> None:
    """A line that allows more than one named resource says why."""
    lines = SOURCE.read_text().splitlines()
    texts = set()
    for role in of_kind(template, "AWS::IAM::Role"):
        for statement in statements(template, role):
            resources = json.dumps(statement["Resource"])
            texts |= {text for text in re.findall(r'"([^"]*)"', resources) if "*" in text}
    assert len(texts) == 4
    for text in texts:
        # A single star is in quotes, a longer text is not.
        found = [line for line in lines if ('"*"' if text == "*" else text) in line]
        assert found, text
        assert all(re.search(r"# .{15}", line) for line in found), text


def ours(half: str) -> list[Path]:
    """The modules of a half that are not yours."""
    files = sorted((ROOT / half).rglob("*.py"))
    return [f for f in files if not str(f.relative_to(ROOT)).startswith(line.YOURS)]


def test_host_may_do_what_it_does(template: Json) -> None:
    """The hosts' role allows what their code calls, and nothing else."""
    bus = called(parsed(*ours("socket_host")))
    assert bus
    assert allowed(template, "HostRole") == bus


def test_function_may_do_what_it_does(template: Json) -> None:
    """The function's role allows emitting and logging, and nothing else."""
    logging = {"logs:CreateLogStream", "logs:PutLogEvents"}
    emitting = called(parsed(*ours("functions")))
    assert emitting
    assert allowed(template, "PagesRole") == emitting | logging


def test_no_other_service_is_called() -> None:
    """The code uses clients of only these services, which the tests above rely on."""
    for file in [*ours("functions"), *ours("socket_host")]:
        made = re.findall(r'\.(?:client|resource)\(\s*"(\w+)"', file.read_text())
        assert set(made) <= set(CLIENTS.values()), file
