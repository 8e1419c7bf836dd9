"""Links, files, pictures and options in the documentation exist."""

import posixpath
import re
import subprocess
import sys
from functools import cache

import pytest

from tests.docs.documents import ROOT, Document, document, documents

EVERY = pytest.mark.parametrize("page", documents(), ids=lambda page: page.path)


@EVERY
def test_links(page: Document) -> None:
    """Every link within the project leads to an existing file and heading."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.prose):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page.path), path))
        target = target if path else page.path
        if not (ROOT / target).exists() or (anchor and anchor not in document(target).anchors()):
            broken.append(link)
    assert not broken


@EVERY
def test_named_files(page: Document) -> None:
    """Every file that is mentioned exists, except those that the reader creates."""
    made = {block.title for block in page.files()}
    named = set(re.findall(r"`((?:[a-z_.-]+/)+(?!NAME)[\w.-]*)`", page.prose))
    ours = ("functions/", "socket_host/", "infra/", "scripts/", "tests/", "docs/")
    missing = {path for path in named if path.startswith(ours) and not (ROOT / path).exists()}
    assert not missing - made


def test_every_page_is_found() -> None:
    """The README links to every page of docs/."""
    pages = {page.path for page in documents()} - {"README.md"}
    assert not {page for page in pages if f"]({page})" not in document("README.md").text}


def test_readme_is_short() -> None:
    """The README has at most 150 lines; anything more belongs in docs/."""
    assert len(document("README.md").text.splitlines()) <= 150


PROGRAMS = ("dev", "deploy", "destroy", "doctor", "bench", "pin")


@cache
def options(program: str) -> set[str]:
    """Return the options in a program's help."""
    command = [sys.executable, "-m", f"scripts.commands.{program}", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", done.stdout)) - {"--help"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_options_exist(program: str) -> None:
    """Commands in the documentation use only options that exist."""
    shown = {
        option
        for page in documents()
        for command in page.commands()
        if command.startswith(f"scripts/{program} ")
        for option in re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", command)
    }
    assert shown <= options(program)


@pytest.mark.parametrize("program", ["dev", "deploy", "destroy", "doctor"])
def test_options_are_documented(program: str) -> None:
    """docs/settings.md has a row for each option, and for no other."""
    text = document("docs/settings.md").text
    section = text.partition(f"\n## scripts/{program}\n")[2].partition("\n## ")[0]
    cells = "".join(re.findall(r"^\| (`--.*?) \|", section, re.MULTILINE))
    documented = set(re.findall(r"--[a-z][a-z-]+", cells))
    assert documented == options(program)
