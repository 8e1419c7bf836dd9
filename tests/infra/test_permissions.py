"""Who may do what: networks and roles allow what the code does, and nothing else."""

import ast
import json
import re
from functools import cache
from pathlib import Path

import boto3

from scripts import ROOT
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


def test_only_cloudfront_comes_in(template: Json) -> None:
    """No address may connect to the load balancer or a host: only CloudFront, and then the next."""
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
    }
    assert properties(template, "Balancer")["SecurityGroups"] == [{"Ref": "BalancerGroup"}]
    network = properties(template, "HostService")["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["SecurityGroups"] == [{"Ref": "HostGroup"}]
    name = properties(template, "RegionDetails")["PrefixList"]
    assert name == "com.amazonaws.global.cloudfront.origin-facing"


def test_balancer_has_no_way_out(template: Json) -> None:
    """The load balancer's subnets are in no route table but the network's own."""
    routed = of_kind(template, "AWS::EC2::SubnetRouteTableAssociation").values()
    private = properties(template, "Balancer")["Subnets"]
    assert not [r for r in routed if r["SubnetId"] in private]


def test_host_is_confined(template: Json) -> None:
    """A host runs as nobody, cannot write its file system, and gets the secret unseen."""
    host = container(template)
    assert host["User"] == "10001:10001"
    assert host["ReadonlyRootFilesystem"] is True
    assert host["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
    assert host["Secrets"] == [{"Name": "SESSION_SECRET", "ValueFrom": {"Ref": "SessionSecret"}}]
    assert "SESSION_SECRET" not in {e["Name"] for e in host["Environment"]}
    assert "SessionSecret" not in set(references(translate()["Outputs"]))


def test_roles_are_written_here(template: Json) -> None:
    """What a role may do stands in the template: no policy of AWS's own, no action by wildcard."""
    roles = of_kind(template, "AWS::IAM::Role")
    assert set(roles) == {"PagesRole", "HostRole", "HostStartRole", "FindRegionDetailsRole"}
    for name, role in roles.items():
        assert "ManagedPolicyArns" not in role
        assert not any("*" in action for action in allowed(template, name))


def test_wildcards_have_reasons(template: Json) -> None:
    """Where a role may touch more than one named thing, the line says why."""
    lines = SOURCE.read_text().splitlines()
    texts = set()
    for role in of_kind(template, "AWS::IAM::Role"):
        for statement in statements(template, role):
            resources = json.dumps(statement["Resource"])
            texts |= {text for text in re.findall(r'"([^"]*)"', resources) if "*" in text}
    assert len(texts) == 3
    for text in texts:
        # The lone star stands in quotes, a longer text does not.
        found = [line for line in lines if ('"*"' if text == "*" else text) in line]
        assert found, text
        assert all(re.search(r"# .{15}", line) for line in found), text


CLIENTS = {"_dynamodb": "dynamodb", "_sns": "sns", "_sqs": "sqs"}  # the names the code gives them


# What IAM calls an operation, where that is not the operation's own name.
PERMISSIONS = {
    "dynamodb:TransactWriteItems": {"dynamodb:PutItem"},  # the code puts, and nothing else
    "sns:PublishBatch": {"sns:Publish"},
    "sqs:CreateQueue": {"sqs:CreateQueue", "sqs:TagQueue"},  # the code makes it with tags
    "sqs:DeleteMessageBatch": {"sqs:DeleteMessage"},
}


@cache
def operations(service: str) -> dict[str, str]:
    """A boto3 client's methods, and the operations of AWS they call."""
    mapping: dict[str, str] = boto3.client(
        service, region_name="us-east-1"
    ).meta.method_to_api_mapping
    return mapping


def called(tree: ast.AST) -> set[str]:
    """The permissions that code needs for the operations of AWS it names."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Attribute(attr=client), attr="get_paginator"),
                args=[ast.Constant(value=str(method))],
            ) if client in CLIENTS:
                pass
            case ast.Attribute(value=ast.Attribute(attr=client), attr=method) if client in CLIENTS:
                pass
            case _:
                continue
        if operation := operations(CLIENTS[client]).get(method):
            name = f"{CLIENTS[client]}:{operation}"
            found |= PERMISSIONS.get(name, {name})
    return found


def parsed(*paths: Path) -> ast.Module:
    return ast.Module([ast.parse(path.read_text()) for path in paths], [])  # type: ignore[misc, list-item]


def reached(methods: set[str]) -> ast.Module:
    """The methods of the room log that some of its methods use, themselves included."""
    source = ROOT / "functions/model/dynamodb_room_log.py"
    (log,) = [n for n in ast.parse(source.read_text()).body if isinstance(n, ast.ClassDef)]
    bodies = {n.name: n for n in log.body if isinstance(n, ast.FunctionDef)}
    done: set[str] = set()
    while todo := methods - done:
        done |= todo
        for name in todo & bodies.keys():
            methods = methods | {
                n.attr for n in ast.walk(bodies[name]) if isinstance(n, ast.Attribute)
            }
    return ast.Module([bodies[name] for name in sorted(done & bodies.keys())], [])


def test_host_may_do_what_it_does(template: Json) -> None:
    """The hosts' role allows what their code calls, and nothing else."""
    log = called(parsed(ROOT / "functions/model/dynamodb_room_log.py"))
    bus = called(parsed(*(ROOT / "socket_host").rglob("*.py")))
    assert log
    assert bus
    assert allowed(template, "HostRole") == log | bus


def test_function_may_do_what_it_does(template: Json) -> None:
    """The function's role allows what pages call of the room log, emitting and logging."""
    sources = [
        file for part in ("pages", "web") for file in (ROOT / "functions" / part).glob("*.py")
    ]
    pages = parsed(*sources)
    used = {
        node.attr
        for node in ast.walk(pages)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("log", "self._log")
    }
    assert used
    logging = {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert allowed(template, "PagesRole") == called(reached(used)) | called(pages) | logging


def test_no_other_service_is_called() -> None:
    """The code has clients of these services only, or the two tests above would miss some."""
    for file in [*(ROOT / "functions").rglob("*.py"), *(ROOT / "socket_host").rglob("*.py")]:
        made = re.findall(r'\.(?:client|resource)\(\s*"(\w+)"', file.read_text())
        assert set(made) <= set(CLIENTS.values()), file
