"""With invalid arguments, scripts/bench measures nothing and replaces no figures."""

import sys

import pytest

from scripts.commands.bench.__main__ import main


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("--only broadcast-1000 nope", "'nope' is not a measure; the measures are function,"),
        ("--quick --only broadcast-5000", "'broadcast-5000' is not a measure"),
        ("--bus --only event", "'event' is not a measure; the measures are bus-"),
        ("--rounds 0", "'0' is not a number of rounds"),
        ("--rounds 1.5", "'1.5' is not a number of rounds"),
        ("--seconds 0", "'0' is not a number of seconds"),
        ("--seconds nan", "'nan' is not a number of seconds"),
        ("--seconds soon", "'soon' is not a number of seconds"),
    ],
)
def test_invalid_arguments(
    words: str, why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["scripts/bench", *words.split()])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    assert why in capsys.readouterr().err
