"""An invalid declaration or value of a setting is reported in one sentence that names it."""

from typing import Any

import pytest

from functions.contract.reserved import FRAMEWORK, framework_setting
from functions.contract.setting import Setting, SettingError, development, read_settings

GOOD = Setting("MOST", "how many", parse=int, defaults={"host": "5"})


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (GOOD, "must be a list of Setting"),
        ({"MOST": "5"}, "must be a list of Setting"),
        (["MOST"], "must hold Setting.* only, not 'MOST'"),
        ([Setting("MOST THINGS", "how many")], "must have a name of letters"),
        ([Setting("_HANDLER", "how many")], "must have a name of letters"),
        ([Setting(5, "how many")], "must have a name of letters"),  # type: ignore[arg-type]
        ([GOOD, GOOD], "MOST is declared twice"),
        ([Setting("MOST", "x", halves=("hosts",))], "MOST must have halves such as"),  # type: ignore[arg-type]
        ([Setting("MOST", "x", halves="host")], "MOST must have halves such as"),  # type: ignore[arg-type]
        ([Setting("MOST", "x", defaults="5")], "MOST must have defaults such as"),  # type: ignore[arg-type]
        ([Setting("MOST", "x", defaults={"hosts": "5"})], "MOST must have defaults"),  # type: ignore[dict-item]
        ([Setting("MOST", "x", defaults={"host": 5})], "MOST has the default 5, which must be"),  # type: ignore[dict-item]
        ([Setting("MOST", "x", development=5)], "MOST has the default 5, which must be"),  # type: ignore[arg-type]
        ([Setting("MOST", "x", parse="int")], "MOST must have a function as parse"),  # type: ignore[arg-type]
    ],
)
def test_declaration(declared: Any, words: str) -> None:
    """Everything that reads the declarations reports what is wrong, including scripts/dev."""
    with pytest.raises(SettingError, match=rf"functions/model/settings.py: .*{words}"):
        read_settings(declared, "host", {})
    with pytest.raises(SettingError, match=words):
        development(declared, "data")


@pytest.mark.parametrize(("development", "remedy"), [(None, True), ("5", False)])
def test_missing_value(development: str | None, remedy: bool) -> None:
    """If scripts/dev and the tests have no value to give, the message says where it belongs."""
    declared = [Setting("MOST", "how many there may be", development=development)]
    (problem,) = read_settings(declared, "host", {})[1]
    assert problem.startswith("MOST is not set. It says how many there may be.")
    assert ("`development`" in problem) == remedy


@pytest.mark.parametrize(
    ("names", "who"),
    [
        ([*sorted(FRAMEWORK), "Port"], "the framework"),
        (["AWS_REGION", "LAMBDA_TASK_ROOT", "ECS_AGENT_URI", "PATH", "Path"], "the platform"),
        (["HOME", "TZ", "PYTHONPATH", "LD_PRELOAD", "https_proxy"], "the platform"),
    ],
)
def test_reserved_name(names: list[str], who: str) -> None:
    """A name that already has a meaning in either half is refused for both."""
    for name in names:
        with pytest.raises(SettingError, match=f" {name} is a name that {who} uses, so your"):
            development([Setting(name, "x", halves=("function",), defaults={"function": ""})], "")
    free = [Setting(name, "x") for name in ("PORTS", "PATHS", "MY_PATH", "AWSOME", "STAGE_2")]
    assert development(free, "") == {}


def test_framework_settings_are_reserved() -> None:
    """Only reserved names can be read as framework settings."""
    assert framework_setting({"BUS": "x"}, "BUS") == "x"
    with pytest.raises(KeyError):
        framework_setting({"NEW": "x"}, "NEW")


@pytest.mark.parametrize(
    ("parse", "words"),
    [
        (int, "MOST must be a whole number, not 'tea'."),
        (float, "MOST must be a number, not 'tea'."),
        ({"milk": 1}.__getitem__, "MOST cannot be read: KeyError('tea')."),
    ],
)
def test_value(parse: Any, words: str) -> None:
    """A value that cannot be parsed is reported, whatever its `parse` raises."""
    problems = read_settings([Setting("MOST", "x", parse=parse)], "host", {"MOST": "tea"})[1]
    assert problems == [words]


def test_missing_setting_stops_the_tests(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing setting stops the tests with one sentence, before any of them fails."""
    (conftest,) = (
        plugin
        for name, plugin in pytestconfig.pluginmanager.list_name_plugin()
        if name.endswith("tests/conftest.py")
    )
    monkeypatch.setattr(conftest, "_problems", {"MOST is not set."})
    with pytest.raises(pytest.UsageError, match=r"^MOST is not set\.$"):
        conftest.pytest_configure()  # type: ignore[union-attr]
