"""The room log's part of infra/template.yaml: table, permissions, settings, alarm."""

import ast
import json
import re
from collections.abc import Iterator

import boto3
import pytest

from functions.model.dynamodb_room_log import DynamoDBRoomLog
from scripts import ROOT
from tests.infra.calls import called, parsed
from tests.infra.stack import Stack, stack
from tests.infra.templates import Json, container, properties, references, translate


@pytest.fixture(scope="module")
def made() -> Iterator[Stack]:
    with stack(yours=True) as made:
        yield made


@pytest.fixture
def template() -> Json:
    return translate(yours=True)


def test_rooms_in_the_stack(made: Stack) -> None:
    """The room log works on the stack's table, whose time to live uses an attribute it writes."""
    log = DynamoDBRoomLog(made.outputs["Table"])
    log.append("lobby", id="1", author="ann", name="Ann", text="hello")
    assert [m.text for m in log.latest("lobby")] == ["hello"]
    dynamodb, table = boto3.client("dynamodb"), made.outputs["Table"]
    forgets = properties(translate(yours=True), "Rooms")["TimeToLiveSpecification"]  # moto drops it
    assert forgets["Enabled"]
    for item in dynamodb.scan(TableName=table)["Items"]:
        assert item[forgets["AttributeName"]]["N"].isdecimal()
    arn = dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    assert arn in made.resources("HostRole", "dynamodb:PutItem")  # next to the framework's tables
    assert made.resources("PagesRole", "dynamodb:Query") == [arn]


def test_both_halves_use_the_table(template: Json) -> None:
    """Pages and hosts get the name of the same table."""
    table = {"Fn::Sub": "dynamodb:${Rooms}"}
    assert properties(template, "Pages")["Environment"]["Variables"]["ROOM_LOG"] == table
    assert {"Name": "ROOM_LOG", "Value": table} in container(template)["Environment"]


def test_permissions_match_the_room_log(template: Json) -> None:
    """Both halves may perform exactly the operations on the table that the room log uses."""
    (statement,) = properties(template, "RoomsPolicy")["PolicyDocument"]["Statement"]
    assert statement["Resource"] == {"Fn::GetAtt": ["Rooms", "Arn"]}
    assert set(statement["Action"]) == called(parsed(LOG))
    sources = [*(ROOT / "functions/pages").glob("*.py"), ROOT / "functions/model/room_cache.py"]
    used = {
        node.attr
        for node in ast.walk(parsed(*sources))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("log", "self._log")
    }
    assert used
    assert set(statement["Action"]) == called(reached(used))


LOG = ROOT / "functions/model/dynamodb_room_log.py"


def reached(methods: set[str]) -> ast.Module:
    """Return the given methods of the room log and all methods that they use."""
    (log,) = [n for n in ast.parse(LOG.read_text()).body if isinstance(n, ast.ClassDef)]
    bodies = {n.name: n for n in log.body if isinstance(n, ast.FunctionDef)}
    done: set[str] = set()
    while todo := methods - done:
        done |= todo
        for name in todo & bodies.keys():
            methods = methods | {
                n.attr for n in ast.walk(bodies[name]) if isinstance(n, ast.Attribute)
            }
    return ast.Module([bodies[name] for name in sorted(done & bodies.keys())], [])


def test_alarm_is_sent_and_shown(template: Json) -> None:
    """The table's alarm is sent to the stack's topic and shown on the rooms' dashboard."""
    assert properties(template, "RoomsThrottled")["AlarmActions"] == [{"Ref": "Alarms"}]
    body = properties(template, "RoomsDashboard")["DashboardBody"]
    assert "RoomsThrottled" in set(references(body))
    assert json.loads(re.sub(r"\${[\w.:]+}", "name", body["Fn::Sub"]))["widgets"]
