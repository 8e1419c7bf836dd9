"""What linters miss in infra/template.yaml: names that must agree, who may do what; a rehearsal.

The rehearsal makes the stack in moto, as far as moto goes, and lets the real code use it.
"""

import ast
import fnmatch
import graphlib
import io
import json
import re
import sys
import types
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.contract.bus import Topic
from functions.model.dynamodb_room_log import DynamoDBRoomLog
from functions.model.settings import settings as declared
from socket_host.bus.queue import HostQueue
from socket_host.settings import Settings
from socket_host.transport.http import IDLE_SECONDS
from tests.hosts import SECRET
from tests.templates import ROOT, SOURCE, Json, of_kind, properties, references, translate

IMAGE = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/team/sidepath@sha256:{'0' * 64}"


@pytest.fixture
def template() -> Json:
    return translate()


def container(template: Json) -> Json:
    """The one container of the host's task."""
    (found,) = properties(template, "HostTask")["ContainerDefinitions"]
    assert isinstance(found, dict)
    return found


def attributes(template: Json, name: str, kind: str) -> dict[str, str]:
    return {a["Key"]: a["Value"] for a in properties(template, name)[f"{kind}Attributes"]}


# ---- Names that must agree ----


def test_no_circles(template: Json) -> None:
    """Resources can be made one after another, though the host has to know the edge's name."""
    resources = template["Resources"]
    graph = {}
    for name, resource in resources.items():
        waits = resource.get("DependsOn", [])
        needs = {waits} if isinstance(waits, str) else set(waits)
        graph[name] = (needs | set(references(resource))) & resources.keys()
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert order.index("Edge") < order.index("HostTask") < order.index("HostService")
    assert order.index("Listener") < order.index("HostService")


def test_service_finds_its_container(template: Json) -> None:
    """The service sends to a container, and a port of it, that the task has."""
    (target,) = properties(template, "HostService")["LoadBalancers"]
    (port,) = container(template)["PortMappings"]
    assert target["ContainerName"] == container(template)["Name"]
    assert target["ContainerPort"] == port["ContainerPort"]
    assert target["TargetGroupArn"] == {"Ref": "Hosts"}
    assert properties(template, "Hosts")["TargetType"] == "ip"  # as Fargate needs it


def test_one_port_all_the_way(template: Json) -> None:
    """Load balancer, security groups and host mean the same port."""
    environ = {e["Name"]: e["Value"] for e in container(template)["Environment"]}
    (heard,) = properties(template, "HostGroup")["SecurityGroupIngress"]
    (said,) = properties(template, "BalancerGroup")["SecurityGroupEgress"]
    ports = {int(environ["PORT"]), properties(template, "Hosts")["Port"]}
    assert ports | {heard["FromPort"], heard["ToPort"], said["FromPort"], said["ToPort"]} == {3200}
    (edge,) = properties(template, "BalancerGroup")["SecurityGroupIngress"]
    origin = properties(template, "BalancerOrigin")["VpcOriginEndpointConfig"]
    ports = {edge["FromPort"], edge["ToPort"], origin["HTTPPort"]}
    assert ports == {properties(template, "Listener")["Port"]} == {80}


def test_edge_reaches_the_balancer(template: Json) -> None:
    """The edge's private origin is the load balancer, by its name and by its ARN."""
    config = properties(template, "Edge")["DistributionConfig"]
    (origin,) = [o for o in config["Origins"] if "VpcOriginConfig" in o]
    assert origin["DomainName"] == {"Fn::GetAtt": ["Balancer", "DNSName"]}
    way = properties(template, "BalancerOrigin")["VpcOriginEndpointConfig"]
    assert way["Arn"] == {"Ref": "Balancer"}
    assert way["OriginProtocolPolicy"] == "http-only"


def test_api_calls_the_alias(template: Json) -> None:
    """Pages come from the published alias, which alone starts from a snapshot."""
    (alias,) = of_kind(template, "AWS::Lambda::Alias")
    assert alias in set(references(properties(template, "PagesApi")["Body"]))
    (permission,) = of_kind(template, "AWS::Lambda::Permission").values()
    assert permission["FunctionName"] == {"Ref": alias}
    assert properties(template, "Pages")["SnapStart"] == {"ApplyOn": "PublishedVersions"}


def test_times_fit(template: Json) -> None:
    """A silent socket is pinged before it is cut, and a drain ends before anybody ends it.

    The load balancer lets go of an unused connection before the host does, or it could send a
    request over one that is just being closed.
    """
    environ = {e["Name"]: e["Value"] for e in container(template)["Environment"]}
    silent = Settings.ping_interval + Settings.ping_timeout
    balancer = attributes(template, "Balancer", "LoadBalancer")
    assert silent < int(balancer["idle_timeout.timeout_seconds"]) < IDLE_SECONDS
    drain = int(environ["DRAIN_SECONDS"])
    hosts = attributes(template, "Hosts", "TargetGroup")
    assert drain < int(hosts["deregistration_delay.timeout_seconds"]) <= 2 * drain
    assert drain < container(template)["StopTimeout"] == 120
    assert hosts["stickiness.enabled"] == "true"
    assert hosts["stickiness.type"] == "lb_cookie"


def test_client_addresses(template: Json) -> None:
    """The host believes the proxies that are there, and the load balancer says whom it has seen."""
    environ = {e["Name"]: e["Value"] for e in container(template)["Environment"]}
    assert environ["PROXIES"] == "2"  # the edge and the load balancer
    balancer = attributes(template, "Balancer", "LoadBalancer")
    assert balancer["routing.http.xff_header_processing.mode"] == "append"


def test_hosts_are_replaced_new_before_old(template: Json) -> None:
    """A deployment keeps as many hosts as there were, and goes back if new ones do not get well."""
    deployment = properties(template, "HostService")["DeploymentConfiguration"]
    assert deployment["MinimumHealthyPercent"] == 100
    assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}


# ---- What watches over it ----


def test_alarms_reach_somebody(template: Json) -> None:
    """Each alarm tells the topic, and stands on the dashboard."""
    alarms = of_kind(template, "AWS::CloudWatch::Alarm")
    assert len(alarms) == 6
    assert all(alarm["AlarmActions"] == [{"Ref": "Alarms"}] for alarm in alarms.values())
    assert set(alarms) <= set(references(properties(template, "Dashboard")))


def test_dashboard_is_json(template: Json) -> None:
    """CloudWatch can read the dashboard once its names are filled in."""
    text, _ = properties(template, "Dashboard")["DashboardBody"]["Fn::Sub"]
    widgets = json.loads(re.sub(r"\${[\w.:]+}", "name", text))["widgets"]
    assert [w["properties"]["title"] for w in widgets][:2] == ["Alarms", "Sockets"]


def test_dropped_publishes_are_found(template: Json) -> None:
    """The words that are counted in the hosts' log are words that a host says."""
    said = "".join(file.read_text() for file in (ROOT / "socket_host/bus").glob("*.py"))
    pattern = properties(template, "DroppedPublishes")["FilterPattern"]
    phrases = re.findall(r'\?"([^"]+)"', pattern)
    assert len(phrases) == 3
    assert all(phrase in said for phrase in phrases)


def test_logs_end(template: Json) -> None:
    """Whatever logs does so to a group of the stack, which forgets after a while."""
    groups = of_kind(template, "AWS::Logs::LogGroup")
    assert all(group["RetentionInDays"] for group in groups.values())
    used = {f["LoggingConfig"]["LogGroup"]["Ref"] for f in of_kind(template, FUNCTION).values()}
    used.add(container(template)["LogConfiguration"]["Options"]["awslogs-group"]["Ref"])
    assert used == groups.keys()


FUNCTION = "AWS::Lambda::Function"


# ---- Who may do what ----


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
        "BalancerGroup": {"SourcePrefixListId": {"Fn::GetAtt": ["CloudFrontAddresses", "Id"]}},
        "HostGroup": {"SourceSecurityGroupId": {"Ref": "BalancerGroup"}},
    }
    assert properties(template, "Balancer")["SecurityGroups"] == [{"Ref": "BalancerGroup"}]
    network = properties(template, "HostService")["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["SecurityGroups"] == [{"Ref": "HostGroup"}]
    name = properties(template, "CloudFrontAddresses")["Name"]
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


def statements(template: Json, role: str) -> Iterator[Json]:
    beside = of_kind(template, "AWS::IAM::Policy").values()
    for policy in [
        *properties(template, role)["Policies"],
        *(policy for policy in beside if {"Ref": role} in policy["Roles"]),
    ]:
        yield from policy["PolicyDocument"]["Statement"]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def allowed(template: Json, role: str) -> set[str]:
    return {action for s in statements(template, role) for action in listed(s["Action"])}


def test_roles_are_written_here(template: Json) -> None:
    """What a role may do stands in the template: no policy of AWS's own, no action by wildcard."""
    roles = of_kind(template, "AWS::IAM::Role")
    assert set(roles) == {"PagesRole", "HostRole", "HostStartRole", "FindPrefixListRole"}
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


# ---- The rehearsal ----

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
    "Custom::PrefixList",
}


def without(value: Any, names: set[str]) -> Any:
    """A piece of a template in which references to some resources are made-up names."""
    match value:
        case {"Ref": str(name)} if name in names:
            return f"{name}.test".lower()
        case {"Fn::GetAtt": [str(name), str(attribute)]} if name in names:
            return f"{name}.{attribute}.test".lower()
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


# ---- The one function that lives in the template ----


def answer(template: Json, kind: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Json, str]:
    """What the inline function tells CloudFormation: status, data, and the reason if it failed."""
    told = []

    def send(event: Json, context: None, status: str, data: Json, id_: str, **rest: str) -> None:
        told.append((status, data, rest.get("reason", "")))

    stand_in = types.ModuleType("cfnresponse")
    stand_in.send = send  # type: ignore[attr-defined]  # a module made here
    monkeypatch.setitem(sys.modules, "cfnresponse", stand_in)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    module: Json = {}
    exec(properties(template, "FindPrefixList")["Code"]["ZipFile"], module)
    wanted = properties(template, "CloudFrontAddresses")
    module["handler"]({"RequestType": kind, "ResourceProperties": wanted}, None)
    (only,) = told
    return only


def test_prefix_list_is_found(template: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    """The inline function answers with the id that this region has for CloudFront's addresses."""
    with mock_aws():
        ec2 = boto3.client("ec2", region_name="us-east-1")
        ids = {
            found["PrefixListName"]: found["PrefixListId"]
            for found in ec2.describe_managed_prefix_lists()["PrefixLists"]
        }
        expected = {"Id": ids[properties(template, "CloudFrontAddresses")["Name"]]}
        assert answer(template, "Create", monkeypatch) == ("SUCCESS", expected, "")


@pytest.mark.parametrize(("kind", "status"), [("Create", "FAILED"), ("Delete", "SUCCESS")])
def test_prefix_list_is_missing(
    kind: str, status: str, template: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CloudFormation gets an answer too where there is no list, and deleting needs none."""
    properties(template, "CloudFrontAddresses")["Name"] = "no.such.list"
    with mock_aws():
        told, data, reason = answer(template, kind, monkeypatch)
    assert (told, data) == (status, {})
    assert ("no.such.list: IndexError" in reason) == (status == "FAILED")
