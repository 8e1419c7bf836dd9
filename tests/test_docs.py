"""docs/packages.md says what is: groups, files and scripts, by their names."""

import re
import tomllib
from pathlib import Path

import pytest

from scripts.commands.pin.lists import ALONE, TOGETHER

ROOT = Path(__file__).parent.parent
PACKAGES = (ROOT / "docs/packages.md").read_text()


def test_every_list_and_group_is_documented() -> None:
    """Each dependency group and each list stands in the table, and exists."""
    table = "".join(re.findall(r"^\|.*\n", PACKAGES, re.MULTILINE))
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert groups.keys() == {*TOGETHER.values(), *ALONE.values()}
    assert all(f"`{group}`" in table for group in groups)
    assert all(f"`{path}`" in table for path in TOGETHER)


@pytest.mark.parametrize(
    "path", sorted({*re.findall(r"\b(?:scripts/[a-z]+(?![a-z.])|[a-z_]+/Dockerfile)\b", PACKAGES)})
)
def test_named_files_exist(path: str) -> None:
    """Every script that is named is there."""
    assert (ROOT / path).exists()


def test_own_packages_come_last() -> None:
    """The line to change is the last of pyproject.toml, as it is said."""
    assert (ROOT / "pyproject.toml").read_text().rstrip().splitlines()[-1].startswith("app = [")
