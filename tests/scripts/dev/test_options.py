"""What scripts/dev is told: by arguments, and by the environment."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from scripts import ROOT
from scripts.commands.dev.settings import OriginError, make_environ
from socket_host.origin import parse_origins
from tests.scripts.dev.edges import PATIENCE


def refused(*options: str, environ: Mapping[str, str] | None = None) -> str:
    """Start the command with options that keep it from starting; return what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.commands.dev", *options],
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
    """What is no port is refused in a few lines."""
    said = refused(f"--port={port}")
    assert "is no number from 0 to 65535" in said
    assert len(said) < 2_000 + len(port)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--hosts", "10"], "argument --hosts"),
        (["--event", "x.json"], "--event needs --run NAME"),
        (["--run", "Nobody"], "There is no function Nobody to run, only Pages"),
        (["--data", "pyproject.toml"], f"--data {ROOT}/pyproject.toml is a file"),
        (["--run", "Pages", "--event", "none.json"], f"--event {ROOT}/none.json cannot be read"),
    ],
)
def test_refused(options: list[str], sentence: str) -> None:
    """Other options that make no sense are too."""
    said = refused(*options)
    assert sentence in said
    assert "Traceback" not in said


@pytest.mark.parametrize("text", ["./x", "x", "../here/x"])
def test_paths_are_the_callers(tmp_path: Path, text: str) -> None:
    """A relative path means what it means where the command was typed, in whichever folder."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here/x").touch()
    said = refused("--data", text, environ={"CALLED_FROM": str(tmp_path / "here")})
    assert f"--data {tmp_path}/here/x is a file" in said


def test_command_says_where_it_was_called(tmp_path: Path) -> None:
    """scripts/dev hands on where it was typed, though it runs in the root, whatever CDPATH is."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / "scripts/dev").write_bytes((ROOT / "scripts/dev").read_bytes())
    (tmp_path / "scripts/setup").write_text("#!/bin/sh\n")
    (tmp_path / ".venv/bin/python").write_text('#!/bin/sh\necho "$CALLED_FROM $PWD $*"\n')
    (tmp_path / "elsewhere/scripts").mkdir(parents=True)
    for file in ("scripts/dev", "scripts/setup", ".venv/bin/python"):
        (tmp_path / file).chmod(0o755)
    ran = ["-m", "scripts.commands.dev", "--data", "./x"]
    for folder, command in [(tmp_path, "scripts/dev"), (tmp_path / "scripts", "./dev")]:
        said = subprocess.run(
            [command, "--data", "./x"],
            cwd=folder,
            env={**os.environ, "CDPATH": str(tmp_path / "elsewhere")},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        assert said == [str(folder), str(tmp_path), *ran]


def test_names_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A browser on this machine may connect by whichever name it has for it."""
    monkeypatch.delenv("PUBLIC_ORIGIN", raising=False)
    assert parse_origins(make_environ(tmp_path, 3000)["PUBLIC_ORIGIN"]) == (
        *("http://localhost:3000", "http://127.0.0.1:3000", "http://[::1]:3000"),
    )


def test_further_origins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """PUBLIC_ORIGIN adds those of a tunnel, or of a port that is forwarded; none is taken away."""
    monkeypatch.setenv("PUBLIC_ORIGIN", "https://abc.tunnel.example, http://localhost:8080")
    origins = parse_origins(make_environ(tmp_path, 3000)["PUBLIC_ORIGIN"])
    assert {"https://abc.tunnel.example", "http://localhost:8080", "http://[::1]:3000"} < {*origins}


@pytest.mark.parametrize("text", ["*", "localhost:8080", "https://a.example/page"])
def test_no_origin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    """A malformed one stops the start with a sentence that names it."""
    monkeypatch.setenv("PUBLIC_ORIGIN", text)
    with pytest.raises(OriginError, match="PUBLIC_ORIGIN must be the site's address"):
        make_environ(tmp_path, 3000)
