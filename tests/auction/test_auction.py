"""A second app uses every extension point from a team's own folders, as described in docs/."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.yours import FOLDERS
from tests.auction.install import FRONT_END, install, install_front_end
from tests.docs.documents import ROOT
from tests.docs.project import Project

# Our tests that read your files, without those of the tools that lint the template.
READING_YOURS = (
    "tests/infra/test_template.py::test_lint_translated",
    "tests/infra/test_template.py::test_declared_settings_are_given",
    "tests/infra/test_template.py::test_references_resolve",
    "tests/test_boundaries.py::test_functions_import_only_functions",
    "tests/test_boundaries.py::test_host_imports_only_what_both_carry",
    "tests/test_boundaries.py::test_packages_are_pinned",
    "tests/test_boundaries.py::test_function_starts_alone",
    "tests/test_boundaries.py::test_host_starts_alone",
    "tests/scripts/dev/test_functions.py",
    "tests/scripts/dev/test_sam_local.py::test_sam_sets_what_the_template_has",
    "tests/scripts/dev/test_sam_local.py::test_stand_in_has_the_templates_tables",
)


FILES = (
    *("tests/test_boundaries.py", "tests/line.py", "tests/scripts/__init__.py"),
    *("functions/requirements.txt", "samconfig.toml"),
)


@pytest.fixture
def auction(tmp_path: Path) -> Project:
    """A project with the auction as its app."""
    project = Project(tmp_path)
    for folder in ("tests/infra", "tests/scripts/dev"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for file in FILES:
        shutil.copy(ROOT / file, tmp_path / file)
    install(tmp_path)
    return project


def test_lint_and_types(auction: Project) -> None:
    """Lint, format and types pass, also for the app's tests."""
    shutil.copytree(FRONT_END, auction.folder, dirs_exist_ok=True)
    for command in (["check"], ["format", "--check"]):
        auction.run([".venv/bin/ruff", *command, *FOLDERS])
    auction.check_types(*FOLDERS)


def test_own_tests(auction: Project) -> None:
    """The app's own tests pass, on one host and on two, with SQLite and DynamoDB."""
    output = auction.test("tests/app", "--deselect", "tests/app/test_cloud.py")
    assert " skipped" not in output


PACKAGES = ("esbuild@0.28.2", "react@19.3.1", "react-dom@19.3.1")

NO_REGISTRY = re.compile(
    r"ENOTFOUND|ECONNREFUSED|ECONNRESET|EAI_AGAIN|ETIMEDOUT|ERR_SOCKET|E40[134]"
)


@pytest.fixture
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with esbuild and React, from npm's cache or a registry."""
    if not shutil.which("npm"):
        pytest.skip("npm, which installs esbuild and React, is missing.")
    folder = tmp_path_factory.mktemp("packages")
    shutil.copy(ROOT / "package.json", folder)
    options = ["--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"]
    command = ["npm", "install", "--save-dev", "--fetch-retries=0", *options, *PACKAGES]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode and NO_REGISTRY.search(done.stderr):
        pytest.skip("No npm registry can be reached, and esbuild and React are not in npm's cache.")
    assert done.returncode == 0, done.stderr
    return folder


def test_front_end(auction: Project, packages: Path) -> None:
    """esbuild bundles React, and the import map finds the modules, in a real browser."""
    install_front_end(auction.folder, packages)
    output = auction.test("tests/app/test_board.py")
    assert "1 passed" in output


@pytest.mark.chaos
@pytest.mark.long
def test_our_tests(auction: Project) -> None:
    """Our tests that read the app's folders and its parts of the template pass."""
    auction.test(*READING_YOURS)


@pytest.mark.chaos
@pytest.mark.long
def test_in_the_cloud(auction: Project) -> None:
    """On two hosts with DynamoDB, one of which is killed."""
    auction.test("tests/app/test_cloud.py")
