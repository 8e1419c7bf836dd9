"""The function whose code is in the template."""

import json
import sys
import types

import boto3
import pytest
from moto import mock_aws

from tests.infra.templates import Json, properties

pytestmark = pytest.mark.together("template")

LIST = "com.amazonaws.global.cloudfront.origin-facing"


class EC2:
    """A region with a prefix list, and zones with these ids, by letter."""

    def __init__(self, zones: dict[str, str], lists: tuple[str, ...] = ("pl-1",)) -> None:
        self._zones = zones
        self._lists = lists

    def describe_managed_prefix_lists(self, **_: object) -> Json:
        return {"PrefixLists": [{"PrefixListId": id_} for id_ in self._lists]}

    def describe_availability_zones(self, **_: object) -> Json:
        zones = [{"ZoneName": letter, "ZoneId": id_} for letter, id_ in self._zones.items()]
        return {"AvailabilityZones": zones}


def answer(
    template: Json, event: Json, monkeypatch: pytest.MonkeyPatch, ec2: EC2 | None = None
) -> tuple[str, Json, str, str]:
    """The function's response to CloudFormation: status, data, id, and the reason of a failure."""
    responses = []

    def send(event: Json, context: None, status: str, data: Json, id_: str, **rest: str) -> None:
        responses.append((status, data, id_, rest.get("reason", "")))

    stand_in = types.ModuleType("cfnresponse")
    stand_in.send = send  # type: ignore[attr-defined]  # a module created by the test
    monkeypatch.setitem(sys.modules, "cfnresponse", stand_in)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    if ec2:
        monkeypatch.setattr(boto3, "client", lambda service: ec2)
    module: Json = {}
    exec(properties(template, "FindRegionDetails")["Code"]["ZipFile"], module)
    wanted = properties(template, "RegionDetails")
    module["handler"](event | {"ResourceProperties": wanted}, None)
    (only,) = responses
    return only


CREATE = {"RequestType": "Create"}


def test_details_are_found(template: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    """The response has the id of the region's CloudFront prefix list, and two zones."""
    with mock_aws():
        ec2 = boto3.client("ec2", region_name="us-east-1")
        lists = ec2.describe_managed_prefix_lists()["PrefixLists"]
        (id_,) = [found["PrefixListId"] for found in lists if found["PrefixListName"] == LIST]
        zones = {z["ZoneName"] for z in ec2.describe_availability_zones()["AvailabilityZones"]}
        status, data, _, reason = answer(template, CREATE, monkeypatch)
    assert (status, reason) == ("SUCCESS", "")
    assert data["CloudFrontPrefixList"] == id_
    assert data["Zone1"] != data["Zone2"]
    assert {data["Zone1"], data["Zone2"]} <= zones


@pytest.mark.parametrize("without", ["use1-az3", "usw1-az2", "apne1-az3", "cac1-az3"])
def test_zones_without_vpc_origins(
    without: str, template: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zone without VPC origins, or without Fargate for arm64, is skipped."""
    region = without.partition("-")[0]
    ec2 = EC2({"a": without, "b": f"{region}-az9", "c": f"{region}-az1"})
    _, data, _, _ = answer(template, CREATE, monkeypatch, ec2)
    assert (data["Zone1"], data["Zone2"]) == ("c", "b")


def test_zones_stay(template: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    """An update returns the zones of the creation, whatever a new search would find."""
    _, first, id_, _ = answer(template, CREATE, monkeypatch, EC2({"a": "x-az1", "b": "x-az2"}))
    properties(template, "RegionDetails")["ZonesWithout"] = ["x-az1"]
    update = {"RequestType": "Update", "PhysicalResourceId": id_}
    now = EC2({"c": "x-az3", "d": "x-az4"})
    assert answer(template, update, monkeypatch, now) == ("SUCCESS", first, id_, "")
    assert json.dumps(first)  # CloudFormation gets JSON


@pytest.mark.parametrize(
    ("ec2", "reason"),
    [
        (EC2({"a": "x-az1", "b": "use1-az3"}), "Of this region's zones 1 have VPC origins"),
        (EC2({"a": "x-az1", "b": "x-az2"}, lists=()), f"This region has no {LIST}"),
    ],
)
def test_region_that_will_not_do(
    ec2: EC2, reason: str, template: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unsuitable region fails with advice; deleting the resource needs nothing."""
    status, data, id_, why = answer(template, CREATE, monkeypatch, ec2)
    assert (status, data) == ("FAILED", {})
    assert why.startswith(reason)
    assert "Choose another region" in why
    delete = {"RequestType": "Delete", "PhysicalResourceId": id_}
    assert answer(template, delete, monkeypatch, ec2)[0] == "SUCCESS"


def test_every_subnet_is_in_a_zone_that_was_found(template: Json) -> None:
    """No zone is selected by index, because any zone may be an account's first."""
    assert "Fn::GetAZs" not in json.dumps(template)
    subnets = [r for r in template["Resources"].values() if r["Type"] == "AWS::EC2::Subnet"]
    found = [subnet["Properties"]["AvailabilityZone"] for subnet in subnets]
    assert found
    assert all(zone["Fn::GetAtt"][0] == "RegionDetails" for zone in found)
