"""The auction's part of infra/template.yaml: permissions, the second function, and secrets."""

from pathlib import Path

import pytest

from scripts import ROOT
from tests.infra.calls import called, parsed
from tests.infra.templates import container, properties, translate

MODEL: Path = ROOT / "functions/model"


@pytest.mark.parametrize("store", ["lots", "endings"])
def test_permissions(store: str) -> None:
    """The AWS operations that a store calls are allowed, and no others."""
    policy = properties(translate(yours=True), f"{store.title()}Policy")
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert set(statement["Action"]) == called(parsed(MODEL / f"dynamodb_{store}.py"))


def test_function_on_a_queue() -> None:
    """The function that passes questions on has its own role and environment."""
    template = translate(yours=True)
    function = properties(template, "PassOn")
    assert function["Environment"]["Variables"].keys() == {"BUS"}
    assert function["Role"] == {"Fn::GetAtt": ["PassOnRole", "Arn"]}


def test_secrets() -> None:
    """The template contains no secrets, and the host's secret is not among its plain settings."""
    template = translate(yours=True)
    secrets = {each["Name"] for each in container(template)["Secrets"] if "Name" in each}
    assert "STREAM_KEY" in secrets
    variables = properties(template, "Pages")["Environment"]["Variables"]
    assert variables["AUCTIONEER_PASSWORD"]["Fn::Sub"].startswith("{{resolve:secretsmanager:")
