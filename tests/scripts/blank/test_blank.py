"""scripts/blank says what it removes, asks, loses nothing, and leaves the blank app."""

from pathlib import Path

import pytest

from scripts.commands.blank.blanking import APP
from scripts.yours import FOLDERS, TEMPLATE, parts
from tests.infra.templates import SOURCE
from tests.scripts.blank.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with something of yours, all of it committed."""
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
    """Once it was confirmed, nothing else is in your folders, and nothing between the marks."""
    status, said = project.blank(*options, typed="yes\n")
    assert status == 0, said
    assert project.yours() == app()
    template = (project.root / TEMPLATE).read_text()
    assert set(parts(template).values()) == {""}
    assert parts(template).keys() == parts(SOURCE.read_text()).keys()


def test_says_what_goes(project: Project) -> None:
    """Each folder, with how many files, and the lines of the template are said before."""
    files = len(list((project.root / "functions/pages").rglob("*.*")))
    _, said = project.blank(typed="no\n")
    for folder in FOLDERS:
        assert f"  {folder}/ (" in said
    assert f"functions/pages/ ({files} files)" in said
    lines = sum(len(p.splitlines()) for p in parts((project.root / TEMPLATE).read_text()).values())
    assert f"  {lines} lines of infra/template.yaml" in said


@pytest.mark.parametrize("typed", ["", "no\n", "\n", "yesterday\n"])
def test_nothing_goes_unless_confirmed(typed: str, project: Project) -> None:
    """Whoever does not say yes keeps everything."""
    status, said = project.blank(typed=typed)
    assert status == 1
    assert said.endswith("Nothing was removed.\n")
    assert project.git("status", "--porcelain") == ""


@pytest.mark.parametrize("file", ["functions/pages/mine.html", "tests/app/test_new.py", TEMPLATE])
def test_what_is_in_no_commit_is_not_removed(file: str, project: Project) -> None:
    """A change, or a new file, that git could not bring back stops it, and is named."""
    with (project.root / file).open("a") as changed:
        changed.write("# Not committed.\n")
    before = project.git("status", "--porcelain")
    status, said = project.blank("--yes")
    assert status == 1
    assert "not committed" in said
    assert f"  {file}\n" in said
    assert project.git("status", "--porcelain") == before


def test_other_changes_are_no_matter(project: Project) -> None:
    """What is changed elsewhere stays as it is."""
    readme = project.root / "README.md"
    readme.write_text("Ours.\n")
    assert project.blank("--yes")[0] == 0
    assert readme.read_text() == "Ours.\n"


def test_without_git(tmp_path: Path) -> None:
    """Where there is no git, nothing is removed, and a sentence says why."""
    project = Project(tmp_path)
    before = project.yours()
    status, said = project.blank("--yes")
    assert status == 1
    assert "Only committed files" in said
    assert "Traceback" not in said
    assert project.yours() == before


def test_again(project: Project) -> None:
    """A project that is blank stays as it is."""
    assert project.blank("--yes")[0] == 0
    project.commit("Without the sample")
    assert project.blank("--yes")[0] == 0
    assert project.git("status", "--porcelain") == ""
