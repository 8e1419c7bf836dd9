"""The bus between hosts: SNS and SQS or, with a parameter, Valkey."""

import json

import pytest

from functions.contract.redis_address import Address
from socket_host.bus.queue import _ATTRIBUTES
from tests.infra.templates import Json, container, of_kind, properties, references

pytestmark = pytest.mark.together("template")

ON_VALKEY = "OnValkey"


def conditional(template: Json) -> set[str]:
    """The resources that exist only with Valkey."""
    resources = template["Resources"].items()
    return {name for name, resource in resources if resource.get("Condition") == ON_VALKEY}


def chosen(value: object, on_valkey: bool) -> object:
    """A piece of the template with one bus or the other."""
    match value:
        case {"Fn::If": [str(name), yes, no]} if name == ON_VALKEY:
            return chosen(yes if on_valkey else no, on_valkey)
        case dict():
            return {key: chosen(inner, on_valkey) for key, inner in value.items()}
        case list():
            return [chosen(inner, on_valkey) for inner in value]
    return value


def settings(template: Json, on_valkey: bool) -> dict[str, object]:
    """A host's environment."""
    found = chosen(container(template), on_valkey)
    assert isinstance(found, dict)
    return {each["Name"]: each["Value"] for each in found["Environment"]}


def test_default_has_no_server(template: Json) -> None:
    """By default the bus is SNS, and nothing refers to resources for Valkey."""
    parameter = template["Parameters"]["BusKind"]
    assert (parameter["Default"], parameter["AllowedValues"]) == ("sns", ["sns", "valkey"])
    assert template["Conditions"][ON_VALKEY] == {"Fn::Equals": [{"Ref": "BusKind"}, "valkey"]}
    absent = conditional(template)
    assert len(absent) == 11
    assert {r["Type"] for n, r in template["Resources"].items() if n in absent} >= {
        "AWS::ElastiCache::ReplicationGroup",
        "AWS::SQS::Queue",
    }
    for name, resource in template["Resources"].items():
        if name not in absent:
            used = set(references(chosen(resource, on_valkey=False)))
            assert not used & absent, name
    found = settings(template, on_valkey=False)
    assert found["BUS"] == {"Fn::Sub": "sns:${Bus}"}
    assert found["FUNCTION_QUEUE"] == ""


def test_hosts_use_valkey_by_tls_and_with_a_password(template: Json) -> None:
    """The server requires TLS, and the password that hosts get from the same secret."""
    server = properties(template, "BusServer")
    assert server["Engine"] == "valkey"
    assert server["TransitEncryptionEnabled"] is True
    assert server["AuthToken"] == {"Fn::Sub": "{{resolve:secretsmanager:${BusSecret}}}"}
    assert properties(template, "BusSecret")["GenerateSecretString"]["ExcludePunctuation"] is True
    bus = settings(template, on_valkey=True)["BUS"]
    assert isinstance(bus, dict)
    text, values = bus["Fn::Sub"]
    for name, value in values.items():
        assert value == {"Fn::GetAtt": ["BusServer", f"PrimaryEndPoint.{name}"]}
        text = text.replace(f"${{{name}}}", "6379" if name == "Port" else "host")
    assert Address.parse(text) == Address("host", 6379, True, "default", None)
    assert {"Ref": "BusSecret"} in [s["ValueFrom"] for s in container_secrets(template)]
    start = json.dumps(properties(template, "HostStartRole"))
    assert "BusSecret" in start  # otherwise the host would not get it


def container_secrets(template: Json) -> list[Json]:
    found = chosen(container(template), on_valkey=True)
    assert isinstance(found, dict)
    secrets: list[Json] = found["Secrets"]
    return secrets


def test_server_survives_a_zone(template: Json) -> None:
    """There is a replica in another zone for failover."""
    server = properties(template, "BusServer")
    assert server["NumCacheClusters"] == 2
    assert server["AutomaticFailoverEnabled"] is server["MultiAZEnabled"] is True
    zones = [
        properties(template, subnet["Ref"])["AvailabilityZone"]
        for subnet in properties(template, "BusSubnets")["SubnetIds"]
    ]
    assert len({json.dumps(zone) for zone in zones}) == 2


def test_every_node_is_watched(template: Json) -> None:
    """Alarms watch each node's processor and memory, and go off if the server is gone."""
    nodes = [f"${{BusServer}}-{n:03}" for n in range(1, 3)]
    assert properties(template, "BusServer")["NumCacheClusters"] == len(nodes)
    watched = {}
    for name in ("BusServerBusy", "BusServerFull"):
        asked = [m["MetricStat"]["Metric"] for m in properties(template, name)["Metrics"][1:]]
        (metric,) = {each["MetricName"] for each in asked}
        watched[metric] = [each["Dimensions"][0]["Value"]["Fn::Sub"] for each in asked]
    assert watched == {"CPUUtilization": nodes, "DatabaseMemoryUsagePercentage": nodes}
    assert properties(template, "BusServerBusy")["TreatMissingData"] == "breaching"


def test_waiting_messages_are_noticed_before_they_are_lost(template: Json) -> None:
    """The alarm of the functions' queue goes off before messages expire."""
    alarm = properties(template, "FunctionQueueWaits")
    assert alarm["Dimensions"][0]["Value"] == {"Fn::GetAtt": ["FunctionQueue", "QueueName"]}
    rings = alarm["Threshold"] + alarm["Period"] * alarm["EvaluationPeriods"]
    assert rings < properties(template, "FunctionQueue")["MessageRetentionPeriod"] / 2


def test_server_has_no_way_out_or_in(template: Json) -> None:
    """The server has no internet access, and only hosts may connect to it."""
    routed = of_kind(template, "AWS::EC2::SubnetRouteTableAssociation").values()
    private = properties(template, "BusSubnets")["SubnetIds"]
    assert not [r for r in routed if r["SubnetId"] in private]
    assert properties(template, "BusServer")["SecurityGroupIds"] == [{"Ref": "BusGroup"}]
    (way_in,) = properties(template, "BusGroup")["SecurityGroupIngress"]
    assert way_in["SourceSecurityGroupId"] == {"Ref": "HostGroup"}
    way = properties(template, "HostsToBus")
    assert way["GroupId"] == {"Ref": "HostGroup"}
    assert way["DestinationSecurityGroupId"] == {"Ref": "BusGroup"}
    ports = {way_in["FromPort"], way_in["ToPort"], way["FromPort"], way["ToPort"]}
    assert ports == {6379}  # ElastiCache's default
    assert "Port" not in properties(template, "BusServer")


def test_functions_emit_to_the_topic_either_way(template: Json) -> None:
    """Functions always use the topic; with Valkey, it feeds one queue."""
    variables = properties(template, "Pages")["Environment"]["Variables"]
    assert variables["BUS"] == {"Fn::Sub": "sns:${Bus}"}
    subscription = properties(template, "FunctionSubscription")
    assert subscription["TopicArn"] == {"Ref": "Bus"}
    assert subscription["Endpoint"] == {"Fn::GetAtt": ["FunctionQueue", "Arn"]}
    assert subscription["RawMessageDelivery"] is True  # like the hosts' own queues
    assert settings(template, on_valkey=True)["FUNCTION_QUEUE"] == {"Ref": "FunctionQueue"}
    (allowed,) = properties(template, "FunctionQueuePolicy")["PolicyDocument"]["Statement"]
    assert allowed["Principal"] == {"Service": "sns.amazonaws.com"}
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Ref": "Bus"}}}


def test_function_queue_is_as_a_hosts_own(template: Json) -> None:
    """The queue keeps each sender's order, and soon returns messages that were not deleted."""
    queue = properties(template, "FunctionQueue")
    alike = ("FifoQueue", "DeduplicationScope", "FifoThroughputLimit", "VisibilityTimeout")
    assert [str(queue[name]).lower() for name in alike] == [
        _ATTRIBUTES[name].lower() for name in alike
    ]


def test_hosts_of_before_a_change_may_go_on(template: Json) -> None:
    """Hosts' permissions do not depend on the bus, because a change runs both kinds."""
    for role in ("HostRole", "PagesRole"):
        assert ON_VALKEY not in json.dumps(properties(template, role))
