"""The options and environment variables of scripts/dev."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from scripts import ROOT
from scripts.commands.dev.__main__ import stop_signals
from scripts.commands.dev.settings import OriginError, OwnSettings, make_environ
from socket_host.origin import parse_origins
from tests.scripts.dev.edges import PATIENCE


def refused(*options: str, environ: Mapping[str, str] | None = None) -> str:
    """Start the command with invalid options; return its output."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.commands.dev", "--port", "0", *options],
        cwd=ROOT,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode in (1, 2), done
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("port", ["70000", "-1", "x", "1e3", "٣", "", "9" * 5_000])
def test_port(port: str) -> None:
    """An invalid port is refused in a few lines."""
    output = refused(f"--port={port}")
    assert "is not a number from 0 to 65535" in output
    assert len(output) < 2_000 + len(port)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--hosts", "10"], "argument --hosts"),
        (["--event", "x.json"], "--event needs --run NAME"),
        (["--run", "Nobody"], "There is no function Nobody. The template has Pages"),
        (["--data", "pyproject.toml"], f"--data {ROOT}/pyproject.toml is a file"),
        (["--data", "pyproject.toml/x"], f"--data {ROOT}/pyproject.toml/x cannot be created"),
        (["--data", "x" * 300], "x cannot be created: File name too long"),
        (["--data", "~nobody-of-this-name/x"], "'~nobody-of-this-name/x' cannot be resolved"),
        (["--pages", "localhost:3001"], "'localhost:3001' is not an address such as http://"),
        (["--pages", "http://localhost:x"], "'http://localhost:x' is not an address"),
        (["--pages", "http://localhost:3001?a"], "'http://localhost:3001?a' is not an address"),
        (["--run", "Pages", "--event", "none.json"], f"--event {ROOT}/none.json cannot be read"),
    ],
)
def test_refused(options: list[str], sentence: str) -> None:
    """Other invalid options are refused too."""
    output = refused(*options)
    assert sentence in output
    assert "Traceback" not in output


@pytest.mark.parametrize("text", ["./x", "x", "../here/x"])
def test_paths_are_the_callers(tmp_path: Path, text: str) -> None:
    """A relative path refers to the folder in which the command was typed."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here/x").touch()
    output = refused("--data", text, environ={"CALLED_FROM": str(tmp_path / "here")})
    assert f"--data {tmp_path}/here/x is a file" in output


def test_command_says_where_it_was_called(tmp_path: Path) -> None:
    """scripts/dev passes on the caller's folder, whatever CDPATH is."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for script in ("dev", "help.sh"):
        shutil.copy(ROOT / "scripts" / script, tmp_path / "scripts" / script)
    (tmp_path / "scripts/setup").write_text("#!/bin/sh\n")
    (tmp_path / ".venv/bin/python").write_text('#!/bin/sh\necho "$CALLED_FROM $PWD $*"\n')
    (tmp_path / "elsewhere/scripts").mkdir(parents=True)
    for file in ("scripts/dev", "scripts/setup", ".venv/bin/python"):
        (tmp_path / file).chmod(0o755)
    ran = ["-m", "scripts.commands.dev", "--data", "./x"]
    for folder, command in [(tmp_path, "scripts/dev"), (tmp_path / "scripts", "./dev")]:
        output = subprocess.run(
            [command, "--data", "./x"],
            cwd=folder,
            env={**os.environ, "CDPATH": str(tmp_path / "elsewhere")},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        assert output == [str(folder), str(tmp_path), *ran]


def environ_of(folder: Path) -> Mapping[str, str]:
    """Return the settings of a site on port 3000 that has no file of its own."""
    return make_environ(OwnSettings(folder, folder / "none"), 3000)


def test_names_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A browser on this machine may connect under any of its names."""
    monkeypatch.delenv("PUBLIC_ORIGIN", raising=False)
    assert parse_origins(environ_of(tmp_path)["PUBLIC_ORIGIN"]) == (
        *("http://localhost:3000", "http://127.0.0.1:3000", "http://[::1]:3000"),
    )


def test_further_origins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """PUBLIC_ORIGIN adds origins, such as a tunnel's or a forwarded port's."""
    monkeypatch.setenv("PUBLIC_ORIGIN", "https://abc.tunnel.example, http://localhost:8080")
    origins = parse_origins(environ_of(tmp_path)["PUBLIC_ORIGIN"])
    assert {"https://abc.tunnel.example", "http://localhost:8080", "http://[::1]:3000"} < {*origins}


@pytest.mark.parametrize(
    "text",
    [
        *("*", "localhost:8080", "https://a.example/page"),
        *("https://a b.example", "https://a.example\\", "https://a%20b", "https://."),
    ],
)
def test_malformed_origin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    """A malformed PUBLIC_ORIGIN stops the start with a message that names it."""
    monkeypatch.setenv("PUBLIC_ORIGIN", text)
    with pytest.raises(OriginError, match="PUBLIC_ORIGIN must be the site's address"):
        environ_of(tmp_path)


@pytest.mark.parametrize(("hangup", "ends"), [(signal.SIG_DFL, True), (signal.SIG_IGN, False)])
def test_nohup(hangup: signal.Handlers, ends: bool) -> None:
    """A closed terminal ends it, except under nohup."""
    former = signal.signal(signal.SIGHUP, hangup)
    try:
        numbers = stop_signals()
    finally:
        signal.signal(signal.SIGHUP, former)
    assert (signal.SIGHUP in numbers) is ends
    assert {signal.SIGINT, signal.SIGTERM} <= {*numbers}
