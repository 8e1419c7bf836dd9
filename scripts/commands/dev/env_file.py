"""Your settings in a file that is not in git, such as real keys: `.env` in the project."""

from collections.abc import Sequence
from pathlib import Path

from functions.contract.setting import Setting


class EnvFileError(Exception):
    """The file cannot be read; the text says where, and what is expected."""


def read_env_file(file: Path, declared: Sequence[Setting]) -> dict[str, str]:
    """Return the settings in a file, by name; none if there is no file. Raise EnvFileError.

    A line is NAME=VALUE, empty, or a comment. Blanks around both are dropped, and so is one pair of
    quotes around the value.
    """
    try:
        lines = file.read_text("utf-8-sig").splitlines()  # Windows editors add a BOM
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise EnvFileError(f"{file} cannot be read: {error}.") from None
    names = {setting.name for setting in declared}
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not name or "\0" in value:
            raise EnvFileError(f"{file}, line {number}: write NAME=VALUE, or # before a comment.")
        if name not in names:
            raise EnvFileError(
                f"{file}, line {number}: functions/model/settings.py declares no {name[:80]}. "
                "Here are only settings of yours; scripts/dev takes others from its environment."
            )
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
        found[name] = value[1:-1] if quoted else value
    return found
