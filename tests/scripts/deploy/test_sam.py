"""The arguments of sam."""

from collections.abc import Sequence

import pytest

from scripts.commands.deploy import sam


def test_values_are_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values with spaces, and empty ones, are quoted for sam."""
    told: list[str] = []

    def run(command: Sequence[str]) -> None:
        told.extend(command)

    monkeypatch.setattr(sam, "run", run)
    given = {"Colour": "dark red", "Domain": "", "Text": 'say "hi"', "Sum": "a=b"}
    sam.deploy("sidepath", given, "eu-west-1", None)
    assert told[told.index("--parameter-overrides") + 1 :] == [
        'Colour="dark red"',
        'Domain=""',
        'Text="say \\"hi\\""',
        'Sum="a=b"',
    ]
