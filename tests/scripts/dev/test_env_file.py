"""A file outside of git gives settings of yours, and says where it is wrong."""

from pathlib import Path

import pytest

from functions.contract.setting import Setting
from scripts.commands.dev import settings
from scripts.commands.dev.env_file import EnvFileError, read_env_file
from tests.scripts.dev.test_options import refused

DECLARED = [
    Setting("KEY", "the key", development="for development"),
    Setting("PLACE", "where it is", development="{data}/place"),
]


def test_lines(tmp_path: Path) -> None:
    """Comments and blanks are nothing; quotes are taken off, and what is within them stays."""
    file = tmp_path / ".env"
    file.write_text("# Keys\n\n  KEY = a=b#c \nPLACE=' x \"y\" '\n")
    assert read_env_file(file, DECLARED) == {"KEY": "a=b#c", "PLACE": ' x "y" '}
    assert read_env_file(tmp_path / "none", DECLARED) == {}


def test_replaces_development(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands there is taken; what does not is as in development. Ours cannot be set."""
    monkeypatch.setattr(settings, "declared", DECLARED)
    file = tmp_path / ".env"
    file.write_text("KEY=real\n")
    environ = settings.make_environ(tmp_path, 3000, file)
    assert (environ["KEY"], environ["PLACE"]) == ("real", f"{tmp_path}/place")
    assert environ["STAGE"] == "development"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("# fine\ns3cret", "line 2: write NAME=VALUE"),
        ("=s3cret", "line 1: write NAME=VALUE"),
        ("KEYS=s3cret", "line 1: functions/model/settings.py declares no KEYS"),
        ("STAGE=s3cret", "declares no STAGE"),
    ],
)
def test_mistakes(text: str, why: str, tmp_path: Path) -> None:
    """A line that is none, or for a setting that is none, is named; no value is repeated."""
    file = tmp_path / ".env"
    file.write_text(text)
    with pytest.raises(EnvFileError, match=why) as raised:
        read_env_file(file, DECLARED)
    assert "s3cret" not in str(raised.value).removeprefix(str(file))


def test_start_is_refused(tmp_path: Path) -> None:
    """scripts/dev ends with the sentence."""
    file = tmp_path / "keys"
    file.write_bytes(b"\xff")
    said = refused("--env", str(file), "--data", str(tmp_path))
    assert "cannot be read" in said
    assert "Traceback" not in said
