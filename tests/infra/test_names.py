"""What linters do not check in infra/template.yaml: names, ports and times that must agree."""

import graphlib

import pytest

from socket_host.drain import GOODBYE_SECONDS
from socket_host.ecs_task import CALL_SECONDS, LEAVE_SECONDS, POLL_SECONDS
from socket_host.settings import Settings
from socket_host.transport.http import IDLE_SECONDS
from tests.infra.templates import Json, attributes, container, of_kind, properties, references

pytestmark = pytest.mark.together("template")


def test_no_circular_references(template: Json) -> None:
    """Resources have no circular references, though the host gets the edge's name."""
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
    """The service uses a container and a port that the task has."""
    (target,) = properties(template, "HostService")["LoadBalancers"]
    (port,) = container(template)["PortMappings"]
    assert target["ContainerName"] == container(template)["Name"]
    assert target["ContainerPort"] == port["ContainerPort"]
    assert target["TargetGroupArn"] == {"Ref": "Hosts"}
    assert properties(template, "Hosts")["TargetType"] == "ip"  # as Fargate requires


def test_one_port_all_the_way(template: Json) -> None:
    """Load balancer, security groups and host use the same port."""
    environ = {e["Name"]: e["Value"] for e in container(template)["Environment"]}
    (ingress,) = properties(template, "HostGroup")["SecurityGroupIngress"]
    (egress,) = properties(template, "BalancerGroup")["SecurityGroupEgress"]
    ports = {int(environ["PORT"]), properties(template, "Hosts")["Port"]}
    assert ports | {
        ingress["FromPort"],
        ingress["ToPort"],
        egress["FromPort"],
        egress["ToPort"],
    } == {3200}
    (edge,) = properties(template, "BalancerGroup")["SecurityGroupIngress"]
    origin = properties(template, "BalancerOrigin")["VpcOriginEndpointConfig"]
    ports = {edge["FromPort"], edge["ToPort"], origin["HTTPPort"]}
    assert ports == {properties(template, "Listener")["Port"]} == {80}


def test_edge_reaches_the_balancer(template: Json) -> None:
    """The edge's VPC origin is the load balancer, by name and by ARN."""
    config = properties(template, "Edge")["DistributionConfig"]
    (origin,) = [o for o in config["Origins"] if "VpcOriginConfig" in o]
    assert origin["DomainName"] == {"Fn::GetAtt": ["Balancer", "DNSName"]}
    way = properties(template, "BalancerOrigin")["VpcOriginEndpointConfig"]
    assert way["Arn"] == {"Ref": "Balancer"}
    assert way["OriginProtocolPolicy"] == "http-only"


def test_api_calls_the_alias(template: Json) -> None:
    """The API calls the published alias, which starts from a snapshot."""
    (alias,) = of_kind(template, "AWS::Lambda::Alias")
    assert alias in set(references(properties(template, "PagesApi")["Body"]))
    (permission,) = of_kind(template, "AWS::Lambda::Permission").values()
    assert permission["FunctionName"] == {"Ref": alias}
    assert properties(template, "Pages")["SnapStart"] == {"ApplyOn": "PublishedVersions"}


def test_times_fit(template: Json) -> None:
    """A silent socket is pinged before its timeout, and a drain ends before SIGKILL.

    The load balancer closes an idle connection before the host does. Otherwise it could send a
    request on one that is being closed.
    """
    environ = {e["Name"]: e["Value"] for e in container(template)["Environment"]}
    silent = Settings.ping_interval + Settings.ping_timeout
    balancer = attributes(template, "Balancer", "LoadBalancer")
    assert silent < int(balancer["idle_timeout.timeout_seconds"]) < IDLE_SECONDS
    drain = int(environ["DRAIN_SECONDS"])
    hosts = attributes(template, "Hosts", "TargetGroup")
    # Time for a deregistered host to notice, and to disconnect its clients before they are cut.
    notice = 1.1 * POLL_SECONDS + 2 * CALL_SECONDS + LEAVE_SECONDS
    assert notice + drain + GOODBYE_SECONDS < int(hosts["deregistration_delay.timeout_seconds"])
    assert drain < container(template)["StopTimeout"] == 120
    assert hosts["stickiness.enabled"] == "true"
    assert hosts["stickiness.type"] == "lb_cookie"


def test_client_addresses(template: Json) -> None:
    """The host trusts the existing proxies, and the load balancer adds its client's address."""
    environ = {e["Name"]: e["Value"] for e in container(template)["Environment"]}
    assert environ["PROXIES"] == "2"  # the edge and the load balancer
    balancer = attributes(template, "Balancer", "LoadBalancer")
    assert balancer["routing.http.xff_header_processing.mode"] == "append"


def test_hosts_are_replaced_new_before_old(template: Json) -> None:
    """A deployment keeps all hosts running, and rolls back if new ones are unhealthy."""
    deployment = properties(template, "HostService")["DeploymentConfiguration"]
    assert deployment["MinimumHealthyPercent"] == 100
    assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
