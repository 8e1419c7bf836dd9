"""The one function that lives in the template."""

import sys
import types

import boto3
import pytest
from moto import mock_aws

from tests.infra.templates import Json, properties


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
