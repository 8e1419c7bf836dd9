"""Settings: how a half reads your settings, and how it refuses to start."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Half = Literal["function", "host"]


class StartError(Exception):
    """A half cannot start; the text says why, and what to do."""


class SettingError(StartError):
    """Settings are missing or malformed; the text names each and says what it must be."""


@dataclass(frozen=True)
class Setting:
    """A setting of the environment.

    `parse` turns the text into a value, and raises ValueError if it is malformed, with a message
    that follows the setting's name. `defaults` are texts too; a half without one must be given a
    value. `development` is the value in scripts/dev; `{data}` in it stands for the data folder.
    """

    name: str
    meaning: str
    parse: Callable[[str], Any] = str
    halves: Sequence[Half] = ("function", "host")
    defaults: Mapping[Half, str] = field(default_factory=dict)
    development: str | None = None


def development(declared: Sequence[Setting], data: Path | str) -> dict[str, str]:
    """Return the values for development, by the settings' names; `data` is the data folder."""
    return {
        setting.name: setting.development.replace("{data}", str(data))
        for setting in declared
        if setting.development is not None
    }


def read_settings(
    declared: Sequence[Setting], half: Half, environ: Mapping[str, str]
) -> tuple[dict[str, Any], list[str]]:
    """Return a half's values by name, and what is wrong with the others."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for setting in declared:
        if half not in setting.halves:
            continue
        text = environ.get(setting.name) or setting.defaults.get(half)
        if text is None:
            problems.append(f"{setting.name} is not set. It says {setting.meaning}.")
            continue
        try:
            values[setting.name] = setting.parse(text)
        except ValueError as error:
            problems.append(f"{setting.name} {error}.")
    return values, problems
