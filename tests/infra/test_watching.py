"""What watches over the stack: alarms, dashboard, logs."""

import json
import re

from scripts import ROOT
from tests.infra.templates import Json, container, of_kind, properties, references


def test_alarms_reach_somebody(template: Json) -> None:
    """Each alarm tells the topic, and stands on the dashboard."""
    alarms = of_kind(template, "AWS::CloudWatch::Alarm")
    assert alarms
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
