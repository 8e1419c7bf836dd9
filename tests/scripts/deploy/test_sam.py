"""What sam is told."""

from collections.abc import Sequence

import pytest

from scripts.commands.deploy import sam


def test_values_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """sam ends a value at a blank and takes no empty one, unless it is quoted."""
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
