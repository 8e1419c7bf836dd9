"""The README says what is: settings, scripts and files, by their names."""

import re
from pathlib import Path

import pytest

from functions.contract.setting import Setting
from functions.model.settings import settings as declared

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


HALVES = ("functions/web", "socket_host")


def settings(half: str) -> set[str]:
    """The names of what a half reads from its environment, without those that are declared."""
    return set(re.findall(r'"([A-Z][A-Z_]{2,})"', (ROOT / half / "settings.py").read_text()))


@pytest.mark.parametrize("half", HALVES)
def test_settings_are_documented(half: str) -> None:
    """Every setting stands in the README's table."""
    assert settings(half)
    documented = set(re.findall(r"^\| `([A-Z_]+)`", README, re.MULTILINE))
    assert settings(half) <= documented


def test_documented_settings_exist() -> None:
    """The README's tables name no setting that nobody reads."""
    documented = set(re.findall(r"^\| `([A-Z_]+)`", README, re.MULTILINE))
    own = {setting.name for setting in declared}
    assert documented == set().union(own, *map(settings, HALVES))


@pytest.mark.parametrize("setting", declared, ids=lambda setting: setting.name)
def test_declared_settings_are_documented(setting: Setting) -> None:
    """The README says of a declared setting what its declaration says."""
    assert f"| {setting.meaning} |" in README
    assert all(default in README for default in setting.defaults.values())


def test_defaults_are_documented() -> None:
    """Each default in the README is the one the host has."""
    code = (ROOT / "socket_host/settings.py").read_text()
    for name, default in re.findall(r"^\| `([A-Z_]+)` \| host \|.*\| `(.*?)` \|$", README, re.M):
        found = re.search(rf"^    {name.lower()}: \w+ = (.*?)(?:  #.*)?$", code, re.MULTILINE)
        assert found, name
        assert found[1].strip('"').replace("_", "") == default.replace("_", "").replace(",", "")


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:[a-z_]+/)+[\w.]*)`", README))))
def test_named_files_exist(path: str) -> None:
    """Every file the README names is there, but those it tells the reader to make."""
    if path not in ("functions/pages/hello.py", "functions/pages/templates/hello.html"):
        assert (ROOT / path).exists()


@pytest.mark.parametrize("path", re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README))
def test_pictures_exist(path: str) -> None:
    """Every picture of the README is in the repository."""
    assert (ROOT / path).is_file()
