"""`scripts/pythons`, with stand-ins for Pythons that record how they are called."""

import shutil
import subprocess
from pathlib import Path

import pytest

from scripts import ROOT

# A stand-in for a Python, with its version in its name or, for .venv's, in the file `own`.
PYTHON = """#!/bin/sh
case "$*" in
  *ensurepip*) [ "$PYENV_VERSION" = "${0##*python}" ];;
  *version_info*) cat own;;
  *"-m venv"*) echo "venv $PYENV_VERSION" >>calls; mkdir -p "$4/bin"; cp "$0" "$4/bin/python";;
  *packages*) echo "packages $3" >>calls;;
  *pytest*) echo "pytest $0 $*" >>calls; [ ! -f broken ];;
esac
"""
FOLDERS = ("functions", "socket_host", "scripts", "tests")
LISTS = (
    "requirements.txt",
    *(f"{folder}/requirements.txt" for folder in FOLDERS),
    "scripts/tools/uv.txt",
)
TOOLS = ("bash", "cat", "cmp", "cp", "dirname", "env", "mkdir", "sh")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that is set up with Python 3.11, on a machine with 3.12 and 3.13 too."""
    for name in LISTS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    for script in ("pythons", "help.sh"):
        shutil.copy(ROOT / "scripts" / script, tmp_path / "scripts" / script)
    (tmp_path / "own").write_text("3.11\n")
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    (tmp_path / ".venv/bin").mkdir(parents=True)
    stands_in = [".venv/bin/python", "bin/python3.11", "bin/python3.12", "bin/python3.13"]
    for path in stands_in:
        (tmp_path / path).write_text(PYTHON)
    (tmp_path / "scripts/setup").write_text("#!/bin/sh\n")
    for path in [*stands_in, "scripts/setup"]:
        (tmp_path / path).chmod(0o755)
    return tmp_path


def run(project: Path, *words: str) -> tuple[int, str, list[str]]:
    """The exit status, the output, and the Pythons' calls."""
    done = subprocess.run(
        ["scripts/pythons", *words],
        cwd=project,
        env={"PATH": str(project / "bin")},
        capture_output=True,
        text=True,
    )
    calls = project / "calls"
    made = calls.read_text().splitlines() if calls.exists() else []
    calls.unlink(missing_ok=True)
    return done.returncode, done.stderr, made


def test_every_other_python(project: Path) -> None:
    """Each Python except .venv's own runs the tests in its own environment."""
    status, output, calls = run(project)
    assert status == 0, output
    assert calls == [
        call
        for version in ("3.12", "3.13")
        for call in (
            f"venv {version}",
            f"packages .venv-{version}/bin/python",
            f"pytest .venv-{version}/bin/python -m pytest -n 4 "
            "tests/app tests/functions tests/socket_host",
        )
    ]
    assert "Python 3.14 is not installed." in output


def test_environments_are_kept(project: Path) -> None:
    """An environment is recreated only if a list has changed; arguments go to pytest."""
    run(project)
    calls = run(project, "tests/functions")[2]
    assert [call.split()[0] for call in calls] == ["pytest", "pytest"]
    assert all(call.endswith("-n 4 tests/functions") for call in calls)
    (project / "tests/requirements.txt").write_text("changed")
    assert len(run(project)[2]) == 6


def test_tests_that_fail(project: Path) -> None:
    """It stops at the first Python with failing tests."""
    (project / "broken").touch()
    status, _, calls = run(project)
    assert status == 1
    assert len(calls) == 3
