"""Settings: how a half reads those that a team declares, and how it refuses to start."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Half = Literal["function", "host"]


class StartError(Exception):
    """The half cannot start; the text says why, and what to do."""


class SettingError(StartError):
    """Settings are missing or malformed; the text names each and says what it must be."""


@dataclass(frozen=True)
class Setting:
    """A setting of the environment.

    `parse` turns its text into its value, and raises ValueError for a malformed one, with a text to
    be read after the setting's name. `defaults` are texts too; a half that has none there must be
    given one. `development` is what scripts/dev sets; `{data}` in it is the folder for data.
    """

    name: str
    meaning: str
    parse: Callable[[str], Any] = str
    halves: Sequence[Half] = ("function", "host")
    defaults: Mapping[Half, str] = field(default_factory=dict)
    development: str | None = None


def development(declared: Sequence[Setting], data: Path | str) -> dict[str, str]:
    """Return what scripts/dev sets, with data in a folder, by the settings' names."""
    return {
        setting.name: setting.development.replace("{data}", str(data))
        for setting in declared
        if setting.development is not None
    }


def read_settings(
    declared: Sequence[Setting], half: Half, environ: Mapping[str, str]
) -> tuple[dict[str, Any], list[str]]:
    """Return a half's values by their names, and what is wrong with the others."""
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
