"""The auction's part of infra/template.yaml: both halves may do with the lots what they do."""

from pathlib import Path

from scripts import ROOT
from tests.infra.calls import called, parsed
from tests.infra.templates import container, properties, translate

STORE: Path = ROOT / "functions/model/dynamodb_lots.py"


def test_rights() -> None:
    """What the store calls is allowed, and nothing else."""
    (statement,) = properties(translate(yours=True), "LotsPolicy")["PolicyDocument"]["Statement"]
    assert set(statement["Action"]) == called(parsed(STORE))


def test_secrets() -> None:
    """No secret stands in the template; the host's is not among its settings."""
    template = translate(yours=True)
    secrets = {each["Name"] for each in container(template)["Secrets"] if "Name" in each}
    assert "STREAM_KEY" in secrets
    variables = properties(template, "Pages")["Environment"]["Variables"]
    assert variables["AUCTIONEER_PASSWORD"]["Fn::Sub"].startswith("{{resolve:secretsmanager:")
