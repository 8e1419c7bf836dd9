"""docs/settings.md and docs/packages.md match the code."""

import re
import tomllib

from functions.contract.reserved import FRAMEWORK
from scripts.commands.pin.lists import ALONE, TOGETHER
from tests.docs.documents import ROOT, document

SETTINGS = document("docs/settings.md").text
PACKAGES = document("docs/packages.md").text

HALVES = {"function": "functions/web", "host": "socket_host"}

ROWS = {
    name: (half, default)
    for name, half, default in re.findall(
        r"^\| `([A-Z0-9_]+)` \| (\w+) \|.*\| (.*?) \|$", SETTINGS, re.MULTILINE
    )
}


def read_by(half: str) -> set[str]:
    """Return the names that a half reads from its environment, without declared settings."""
    code = (ROOT / HALVES[half] / "settings.py").read_text()
    return set(re.findall(r'"([A-Z][A-Z0-9_]{2,})"', code))


def test_settings() -> None:
    """Every setting has a row with the half that reads it, and every row has a setting."""
    for half in HALVES:
        rows = {name for name, (who, _) in ROWS.items() if who in (half, "both")}
        assert rows == read_by(half), f"rows for the {half}"
    assert set(ROWS) == FRAMEWORK


def test_defaults() -> None:
    """Each default is the host's."""
    code = (ROOT / "socket_host/settings.py").read_text()
    for name, (half, default) in ROWS.items():
        if half == "host" and default != "none":
            found = re.search(rf"^    {name.lower()}: \w+ = (.*?)(?:  #.*)?$", code, re.MULTILINE)
            assert found, name
            value = found[1].strip('"').replace("_", "")
            assert value == default.strip("`").replace("_", "").replace(",", ""), name


def test_every_list_and_group_is_documented() -> None:
    """Each dependency group and each list is in the table, and exists."""
    table = "".join(re.findall(r"^\|.*\n", PACKAGES, re.MULTILINE))
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert groups.keys() == {*TOGETHER.values(), *ALONE.values()}
    assert all(f"`{group}`" in table for group in groups)
    assert all(f"`{path}`" in table for path in TOGETHER)


def test_own_packages_come_last() -> None:
    """The line for the reader's packages is the last of pyproject.toml, as documented."""
    assert (ROOT / "pyproject.toml").read_text().rstrip().splitlines()[-1].startswith("app = [")
