"""scripts/blank lists what it removes, asks, loses nothing, and leaves the blank app."""

from pathlib import Path

import pytest

from scripts.commands.blank.blanking import APP
from scripts.yours import FOLDERS, TEMPLATE, parts
from tests.infra.templates import SOURCE
from tests.scripts.blank.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with files of yours, all committed."""
    project = Project(tmp_path)
    (tmp_path / "functions/pages/mine.html").write_text("<p>Mine</p>\n")
    template = tmp_path / TEMPLATE
    marked = "  # --- Yours: parameters ---\n"
    text = template.read_text()
    template.write_text(text.replace(marked, f"{marked}  Mine: {{ Type: String }}\n", 1))
    project.begin()
    return project


def app() -> set[str]:
    """The files of the blank app."""
    return {str(f.relative_to(APP)) for f in APP.rglob("*") if f.is_file() and f.suffix != ".pyc"}


@pytest.mark.parametrize("options", [(), ("--yes",)])
def test_blank_app_is_left(options: tuple[str, ...], project: Project) -> None:
    """After confirmation, your folders and parts of the template have only the blank app."""
    status, output = project.blank(*options, typed="yes\n")
    assert status == 0, output
    assert project.yours() == app()
    template = (project.root / TEMPLATE).read_text()
    assert set(parts(template).values()) == {""}
    assert parts(template).keys() == parts(SOURCE.read_text()).keys()


def test_lists_what_is_removed(project: Project) -> None:
    """Each folder with its number of files, and the template's lines, are listed first."""
    files = len(list((project.root / "functions/pages").rglob("*.*")))
    _, output = project.blank(typed="no\n")
    for folder in FOLDERS:
        assert f"  {folder}/ (" in output
    assert f"functions/pages/ ({files} files)" in output
    lines = sum(len(p.splitlines()) for p in parts((project.root / TEMPLATE).read_text()).values())
    assert f"  {lines} lines of infra/template.yaml" in output


@pytest.mark.parametrize("typed", ["", "no\n", "\n", "yesterday\n"])
def test_nothing_is_removed_unless_confirmed(typed: str, project: Project) -> None:
    """Any answer but yes removes nothing."""
    status, output = project.blank(typed=typed)
    assert status == 1
    assert output.endswith("Nothing was removed.\n")
    assert project.git("status", "--porcelain") == ""


@pytest.mark.parametrize("file", ["functions/pages/mine.html", "tests/app/test_new.py", TEMPLATE])
def test_uncommitted_files_are_not_removed(file: str, project: Project) -> None:
    """An uncommitted change or file, which git could not restore, stops it."""
    with (project.root / file).open("a") as changed:
        changed.write("# Not committed.\n")
    before = project.git("status", "--porcelain")
    status, output = project.blank("--yes")
    assert status == 1
    assert "not committed" in output
    assert f"  {file}\n" in output
    assert project.git("status", "--porcelain") == before


def test_other_changes_are_kept(project: Project) -> None:
    """Changes elsewhere are allowed and kept."""
    readme = project.root / "README.md"
    readme.write_text("Ours.\n")
    assert project.blank("--yes")[0] == 0
    assert readme.read_text() == "Ours.\n"


def test_without_git(tmp_path: Path) -> None:
    """Without git, nothing is removed, and a message says why."""
    project = Project(tmp_path)
    before = project.yours()
    status, output = project.blank("--yes")
    assert status == 1
    assert "Only committed files" in output
    assert "Traceback" not in output
    assert project.yours() == before


def test_again(project: Project) -> None:
    """A blank project does not change."""
    assert project.blank("--yes")[0] == 0
    project.commit("Without the sample")
    assert project.blank("--yes")[0] == 0
    assert project.git("status", "--porcelain") == ""
