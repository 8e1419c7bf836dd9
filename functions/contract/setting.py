"""Settings: declaring them, reading them, and reporting what is wrong with them."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from functions.contract.reserved import reserved_by

Half = Literal["function", "host"]


class StartError(ImportError):
    """A half cannot start; the text says why, and what to do.

    An ImportError, because Lambda logs the text of that, and a stack trace of any other.
    """


class SettingError(StartError):
    """Settings are missing or malformed; the message names each and says what it must be."""


@dataclass(frozen=True)
class Setting:
    """A setting of the environment.

    `parse` turns the text into a value, or raises ValueError with a message that follows the
    setting's name. `defaults` are strings too; a half without one must be given a value.
    `development` is the value in scripts/dev; `{data}` in it stands for the data folder.
    """

    name: str
    meaning: str
    parse: Callable[[str], Any] = str
    halves: Sequence[Half] = ("function", "host")
    defaults: Mapping[Half, str] = field(default_factory=dict)
    development: str | None = None


_HALVES = get_args(Half)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_WHERE = "functions/model/settings.py:"

# What a value must be if `parse` is one of these types.
_PLAIN = {int: "a whole number", float: "a number"}


def checked(declared: Sequence[Setting]) -> Sequence[Setting]:
    """Return the settings; raise SettingError, naming the setting, if one is declared wrongly."""
    if not isinstance(declared, list | tuple):
        raise SettingError(f"{_WHERE} `settings` must be a list of Setting(...), not {declared!r}.")
    names: set[str] = set()
    for setting in declared:
        if not isinstance(setting, Setting):
            raise SettingError(f"{_WHERE} `settings` must hold Setting(...) only, not {setting!r}.")
        if problem := _misdeclared(setting, names):
            raise SettingError(f"{_WHERE} {setting.name} {problem}.")
        names.add(setting.name)
    return declared


def _misdeclared(setting: Setting, names: Collection[str]) -> str:
    """Return what is wrong with a declaration; the text follows its name."""
    if not isinstance(setting.name, str) or not _NAME.fullmatch(setting.name):
        return "must have a name of letters, digits and _, such as MOST_VOTES"
    if who := reserved_by(setting.name):
        return f"is a name that {who} uses, so your setting needs another one"
    if setting.name in names:
        return "is declared twice"
    if isinstance(setting.halves, str) or not set(setting.halves) <= set(_HALVES):
        return f"must have halves such as ('host',) of {_HALVES}, not {setting.halves!r}"
    if not isinstance(setting.defaults, Mapping) or not setting.defaults.keys() <= {*_HALVES}:
        return f"must have defaults such as {{'host': '5'}}, not {setting.defaults!r}"
    texts = [*setting.defaults.values(), setting.development or ""]
    if wrong := [text for text in texts if not isinstance(text, str)]:
        return f"has the default {wrong[0]!r}, which must be a string, as in an environment"
    return "" if callable(setting.parse) else f"must have a function as parse, not {setting.parse}"


def development(declared: Sequence[Setting], data: Path | str) -> dict[str, str]:
    """Return the values for development, by the settings' names; `data` is the data folder.

    Raises SettingError as `checked` does.
    """
    return {
        setting.name: setting.development.replace("{data}", str(data))
        for setting in checked(declared)
        if setting.development is not None
    }


def read_settings(
    declared: Sequence[Setting], half: Half, environ: Mapping[str, str]
) -> tuple[dict[str, Any], list[str]]:
    """Return a half's values by name, and the problems with the others.

    Raises SettingError as `checked` does.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for setting in checked(declared):
        if half not in setting.halves:
            continue
        text = environ.get(setting.name) or setting.defaults.get(half)
        if text is None:
            problems.append(
                f"{setting.name} is not set. It says {setting.meaning}.{_remedy(setting)}"
            )
            continue
        try:
            values[setting.name] = setting.parse(text)
        except Exception as error:
            what = _PLAIN.get(setting.parse)  # type: ignore[call-overload]  # any function may be
            problems.append(f"{setting.name} {_sentence(error, what, text)}")
    return values, problems


def _remedy(setting: Setting) -> str:
    if setting.development is not None:
        return ""
    return " For scripts/dev and the tests, give its declaration a value for `development`."


def _sentence(error: Exception, what: str | None, text: str) -> str:
    """Return why a value was not parsed; the text follows its setting's name."""
    if what:
        return f"must be {what}, not {text!r}."
    if isinstance(error, ValueError):
        return f"{str(error).rstrip('.')}."
    return f"cannot be read: {error!r}."
