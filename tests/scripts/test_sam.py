"""`scripts/sam`, which installs a tool in an environment of its own; with stand-ins for Python."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import ROOT

PYTHON = f"""#!/bin/sh
case "$*" in
  *fcntl*) exec {sys.executable} "$@";;
  *scripts.packages*) echo "$*" >>installs
    printf '#!/bin/sh\\necho "sam $*"\\n' >.venv-sam/bin/sam; chmod +x .venv-sam/bin/sam;;
  *venv*) mkdir -p .venv-sam/bin; cp "$0" .venv-sam/bin/python;;
esac
"""
REPLACED = "#!/bin/sh\nexit 1\n"  # a Python that finds none of what was installed


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose set-up is complete."""
    (tmp_path / "scripts/tools").mkdir(parents=True)
    for script in ("sam", "help.sh", "lock.sh"):
        shutil.copy(ROOT / "scripts" / script, tmp_path / "scripts" / script)
    (tmp_path / "scripts/tools/sam.txt").write_text("aws-sam-cli==1")
    program(tmp_path / "scripts/setup", "#!/bin/sh\n")
    program(tmp_path / ".venv/bin/python", PYTHON)
    return tmp_path


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def sam(project: Path) -> tuple[str, int]:
    """The output of a command, and how often the tool has been installed."""
    done = subprocess.run(
        ["scripts/sam", "build"], cwd=project, capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, len((project / "installs").read_text().splitlines())


def test_installed_once(project: Path) -> None:
    """The tool is installed by the first command, and again when its list has changed."""
    assert [sam(project), sam(project)] == [("sam build\n", 1)] * 2
    (project / "scripts/tools/sam.txt").write_text("aws-sam-cli==2")
    assert sam(project) == ("sam build\n", 2)


def test_python_that_was_replaced(project: Path) -> None:
    """It is installed again when the system has replaced the environment's Python."""
    sam(project)
    program(project / ".venv-sam/bin/python", REPLACED)
    assert [sam(project), sam(project)] == [("sam build\n", 2)] * 2
