"""Alarms, dashboard and logs."""

import json
import re

import pytest

from scripts import ROOT
from socket_host.metrics import embedded_metrics, parse_namespace
from tests.infra.templates import Json, container, of_kind, properties, references

pytestmark = pytest.mark.together("template")

STACK_NAME = {"Ref": "AWS::StackName"}


def test_alarms_reach_somebody(template: Json) -> None:
    """Each alarm notifies the topic, and is on the dashboard."""
    alarms = of_kind(template, "AWS::CloudWatch::Alarm")
    assert alarms
    assert all(alarm["AlarmActions"] == [{"Ref": "Alarms"}] for alarm in alarms.values())
    assert set(alarms) <= set(references(properties(template, "Dashboard")))


def dashboard(template: Json) -> list[Json]:
    """The dashboard's widgets, with its references replaced."""
    text, values = properties(template, "Dashboard")["DashboardBody"]["Fn::Sub"]
    with_valkey = values["BusAlarms"]["Fn::If"][1]["Fn::Sub"]
    filled = re.sub(r"\${([\w.:]+)}", r"\1", text.replace("${BusAlarms}", with_valkey))
    widgets: list[Json] = json.loads(filled)["widgets"]
    return widgets


def test_dashboard_is_json(template: Json) -> None:
    """The dashboard is valid JSON once its references are resolved."""
    titles = [widget["properties"]["title"] for widget in dashboard(template)]
    assert titles[:2] == ["Alarms", "Sockets"]


def test_hosts_are_counted_by_their_clients(template: Json) -> None:
    """Autoscaling and the dashboard use the metric that a host writes."""
    environ = {e["Name"]: e["Value"] for e in container(template)["Environment"]}
    assert environ["METRIC_NAMESPACE"] == STACK_NAME
    written = json.loads(embedded_metrics(parse_namespace("a-stack"), 7, 0.0))
    (metric,) = written["_aws"]["CloudWatchMetrics"]
    ((dimension,),) = metric["Dimensions"]
    (measured,) = metric["Metrics"]
    (policy,) = [
        p["TargetTrackingScalingPolicyConfiguration"]
        for p in of_kind(template, "AWS::ApplicationAutoScaling::ScalingPolicy").values()
        if "clients" in p["PolicyName"]
    ]
    asked = policy["CustomizedMetricSpecification"]
    assert asked["Namespace"] == STACK_NAME
    assert asked["MetricName"] == measured["Name"]
    assert asked["Unit"] == measured["Unit"]
    assert asked["Dimensions"] == [{"Name": dimension, "Value": written[dimension]}]
    assert asked["Statistic"] == "Average"  # each host writes one value a minute
    shown = [w for w in dashboard(template) if w["properties"]["title"] == "Sockets"]
    (first, *_) = shown[0]["properties"]["metrics"]
    assert first[:4] == ["AWS::StackName", measured["Name"], dimension, written[dimension]]
    assert first[4]["stat"] == "Sum"  # the clients of all hosts
    assert first[4]["period"] == 60


def test_missing_hosts_are_noticed(template: Json) -> None:
    """Missing hosts are noticed, because each running host writes one value a minute."""
    alarm = properties(template, "HostsMissing")
    assert (alarm["Statistic"], alarm["Period"]) == ("SampleCount", 60)
    assert (alarm["Threshold"], alarm["TreatMissingData"]) == ({"Ref": "MinHosts"}, "breaching")
    (policy,) = [
        p["TargetTrackingScalingPolicyConfiguration"]["CustomizedMetricSpecification"]
        for p in of_kind(template, "AWS::ApplicationAutoScaling::ScalingPolicy").values()
        if "clients" in p["PolicyName"]
    ]
    for name in ("Namespace", "MetricName", "Dimensions"):
        assert alarm[name] == policy[name]


def test_lasting_outage_of_the_bus_is_noticed(template: Json) -> None:
    """An outage raises the alarm by itself: a host writes the metric as long as it lasts."""
    written = json.loads(embedded_metrics("a-stack", 7, 0.0, bus_degraded=True))
    (metrics,) = written["_aws"]["CloudWatchMetrics"]
    ((dimension,),) = metrics["Dimensions"]
    alarm = properties(template, "BusDegraded")
    assert alarm["Namespace"] == STACK_NAME
    assert {"Name": alarm["MetricName"], "Unit": "Count"} in metrics["Metrics"]
    assert alarm["Dimensions"] == [{"Name": dimension, "Value": written[dimension]}]
    assert written[alarm["MetricName"]] >= alarm["Threshold"]
    assert (alarm["Statistic"], alarm["Period"]) == ("Maximum", 60)  # one value a minute and host
    assert alarm["TreatMissingData"] == "notBreaching"  # a bus that works has no value
    assert alarm["MetricName"] not in embedded_metrics("a-stack", 7, 0.0)


def test_scaling_uses_no_load_balancer_metrics(template: Json) -> None:
    """No scaling uses a metric that is missing at zero, which would prevent scaling in."""
    for policy in of_kind(template, "AWS::ApplicationAutoScaling::ScalingPolicy").values():
        assert "AWS/ApplicationELB" not in json.dumps(policy)


def test_dropped_publishes_are_found(template: Json) -> None:
    """The metric filter matches messages that hosts log."""
    said = "".join(file.read_text() for file in (ROOT / "socket_host/bus").glob("*.py"))
    pattern = properties(template, "DroppedPublishes")["FilterPattern"]
    phrases = re.findall(r'\?"([^"]+)"', pattern)
    assert len(phrases) == 3
    assert all(phrase in said for phrase in phrases)


def test_logs_end(template: Json) -> None:
    """Every log goes to a group of the stack with a retention period."""
    groups = of_kind(template, "AWS::Logs::LogGroup")
    assert all(group["RetentionInDays"] for group in groups.values())
    used = {f["LoggingConfig"]["LogGroup"]["Ref"] for f in of_kind(template, FUNCTION).values()}
    used.add(container(template)["LogConfiguration"]["Options"]["awslogs-group"]["Ref"])
    assert used == groups.keys()


FUNCTION = "AWS::Lambda::Function"
