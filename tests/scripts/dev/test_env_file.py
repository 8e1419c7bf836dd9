"""A file outside git has values for your settings, and errors name the line."""

import sys
from pathlib import Path

import pytest

from functions.contract.setting import Setting
from scripts.commands.dev import settings
from scripts.commands.dev.env_file import EnvFileError, read_env_file
from tests.scripts.dev.project import small_project
from tests.scripts.dev.test_options import refused
from tests.small_app.model.settings import settings as declared

DECLARED = [
    Setting("KEY", "the key", development="for development"),
    Setting("PLACE", "where it is", development="{data}/place"),
]


def test_lines(tmp_path: Path) -> None:
    """Comments and empty lines are skipped; quotes are removed, and their contents kept."""
    file = tmp_path / ".env"
    file.write_text("# Keys\n\n  KEY = a=b#c \nPLACE=' x \"y\" '\n")
    assert read_env_file(file, DECLARED) == {"KEY": "a=b#c", "PLACE": ' x "y" '}
    file.write_bytes(b"\xef\xbb\xbfKEY=a\r\nPLACE=b\r\n")  # as some editors save it
    assert read_env_file(file, DECLARED) == {"KEY": "a", "PLACE": "b"}
    assert read_env_file(tmp_path / "none", DECLARED) == {}


def test_replaces_development(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its values replace those of development; the framework's settings are refused."""
    monkeypatch.setattr(settings, "declared", DECLARED)
    file = tmp_path / ".env"
    file.write_text("KEY=real\n")
    environ = settings.make_environ(settings.OwnSettings(tmp_path, file), 3000)
    assert (environ["KEY"], environ["PLACE"]) == ("real", f"{tmp_path}/place")
    assert environ["STAGE"] == "development"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("# fine\ns3cret", "line 2: write NAME=VALUE"),
        ("=s3cret", "line 1: write NAME=VALUE"),
        ("KEYS=s3cret", "line 1: functions/model/settings.py declares no KEYS"),
        ("STAGE=s3cret", "declares no STAGE. Here are only settings of yours"),
        ("KEY=s3cret\0", "line 1: write NAME=VALUE"),
    ],
)
def test_malformed_line(text: str, why: str, tmp_path: Path) -> None:
    """A malformed line or an unknown setting is named, without its value."""
    file = tmp_path / ".env"
    file.write_text(text)
    with pytest.raises(EnvFileError, match=why) as raised:
        read_env_file(file, DECLARED)
    assert "s3cret" not in str(raised.value).removeprefix(str(file))


def test_named_file_exists(tmp_path: Path) -> None:
    """The default .env need not exist; a file given with --env must."""
    output = refused("--env", str(tmp_path / "keys"), "--data", str(tmp_path))
    assert output == f"--env {tmp_path / 'keys'} does not exist.\n"


async def test_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Settings are reloaded when they are saved; if that fails, they keep their values."""
    file = tmp_path / ".env"
    monkeypatch.setattr(settings, "ROOT", small_project(tmp_path))
    monkeypatch.setattr(settings, "declared", declared)
    own = settings.OwnSettings(tmp_path, file)
    before = dict(own.values)
    file.write_text("GREETING=another\n")
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(tmp_path / "python"))
        await own.renew()
    assert "Your settings were not reloaded: [Errno 2]" in capsys.readouterr().err
    assert own.values == before
    await own.renew()
    assert own.values == before | {"GREETING": "another"}


def test_start_is_refused(tmp_path: Path) -> None:
    """scripts/dev ends with the message."""
    file = tmp_path / "keys"
    file.write_bytes(b"\xff")
    output = refused("--env", str(file), "--data", str(tmp_path))
    assert "cannot be read" in output
    assert "Traceback" not in output
