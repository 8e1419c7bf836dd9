"""--help and unknown options, for every command in scripts/."""

import importlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts import ROOT

COMMANDS = sorted(
    file.name
    for file in (ROOT / "scripts").iterdir()
    if file.is_file() and not file.suffix and os.access(file, os.X_OK)
)
PROGRAMS = [name for name in COMMANDS if (ROOT / "scripts/commands" / name).is_dir()]

# Stands in for the Python of .venv, and for an installed tool.
PROGRAM = '#!/bin/sh\necho "ran $*"\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the commands, but without .venv."""
    (tmp_path / "scripts").mkdir()
    for name in [*COMMANDS, "help.sh", "lock.sh"]:
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts" / name)
    return tmp_path


def install(program: Path) -> None:
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM)
    program.chmod(0o755)


def run(project: Path, name: str, *options: str) -> tuple[int, str]:
    """Run a command; return its exit status and its output. It must not change the project."""
    before = sorted(project.rglob("*"))
    done = subprocess.run(
        [f"scripts/{name}", *options], cwd=project, capture_output=True, text=True, timeout=20
    )
    assert sorted(project.rglob("*")) == before
    assert done.stderr == "" or done.returncode
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("option", ["--help", "-h"])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_before_setup(project: Path, name: str, option: str) -> None:
    """Without .venv, --help prints the comment at the top of the script, and does nothing else."""
    status, output = run(project, name, option)
    assert status == 0
    assert f"scripts/{name}" in output
    assert "#!" not in output
    assert "set -e" not in output


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_of_a_program(project: Path, name: str) -> None:
    """With .venv, --help anywhere in the arguments prints the Python program's own options."""
    install(project / ".venv/bin/python")
    expected = (0, f"ran -m scripts.commands.{name} --help\n")
    assert run(project, name, "--other", "-h") == expected


@pytest.mark.parametrize("name", ["checkov", "pip-audit", "sam"])
def test_help_of_a_tool(project: Path, name: str) -> None:
    """An installed tool prints its own help, without an update of .venv."""
    install(project / f".venv-{name}/bin/{name}")
    assert run(project, name, "--help") == (0, "ran --help\n")


@pytest.mark.parametrize("name", PROGRAMS)
def test_unknown_option(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program refuses an option that it does not have, with exit status 2."""
    program = importlib.import_module(f"scripts.commands.{name}.__main__")
    monkeypatch.setattr("sys.argv", [f"scripts/{name}", "--no-such-option"])
    with pytest.raises(SystemExit) as exited:
        program.main()
    assert exited.value.code == 2
    assert f"scripts/{name}: error: " in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--no-such-option"], ["tests"], ["--tests", "more"]])
def test_unknown_option_of_setup(project: Path, options: list[str]) -> None:
    """scripts/setup refuses unknown arguments before it installs anything."""
    status, output = run(project, "setup", *options)
    assert status == 2
    assert "Usage: scripts/setup [--tests]" in output
