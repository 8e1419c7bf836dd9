"""The lists of packages: what the groups of pyproject.toml ask for, and all that those need.

Each version stands there with the hashes of its files, so that nothing else can be installed. The
lists hold for every Python, system and processor that we support, and name no registry.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.packages import SYSTEM_CERTIFICATES

# Groups of pyproject.toml, by their lists. A package has one version in all of these,
TOGETHER = {
    "requirements.txt": "app",
    "functions/requirements.txt": "function",
    "socket_host/requirements.txt": "host",
    "scripts/requirements.txt": "dev",
    "tests/requirements.txt": "tests",
}
# and these are tools, each in an environment of its own.
ALONE = {f"scripts/tools/{name}.txt": name for name in ("uv", "sam", "checkov", "pip-audit")}

# For which a release is left alone: one that turns out to be hostile is mostly gone by then.
# UV_EXCLUDE_NEWER says otherwise.
WAIT = timedelta(days=7)

_OLDEST_PYTHON = "3.11"

_UNREACHABLE = 2  # uv's exit status for what has nothing to do with the packages asked for


class ListsError(Exception):
    """No versions were found that go together; uv has said why, on the terminal."""


class RegistryError(ListsError):
    """The registry could not be asked."""


def resolve(root: Path, upgrade: Sequence[str] = ()) -> dict[str, str]:
    """Return every list, by its path, as it should be. Raises ListsError.

    Versions stay as they are, where they still suit; but for the packages in `upgrade`, or all
    if that is `--upgrade`.
    """
    with TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        everything = Path(folder) / "together.txt"
        everything.write_text("".join(_read(root, path) for path in TOGETHER))
        _compile(root, everything, TOGETHER.values(), upgrade)

        def compiled(path: str, group: str) -> str:
            file = Path(folder) / f"{group}.txt"
            if path in TOGETHER:
                _compile(root, file, [group], ["--constraints", str(everything)])
            else:
                file.write_text(_read(root, path))
                _compile(root, file, [group], upgrade)
            return file.read_text()

        groups = TOGETHER | ALONE
        return dict(zip(groups, pool.map(compiled, groups, groups.values()), strict=True))


def write(root: Path, lists: Mapping[str, str]) -> None:
    """Write lists to where they belong."""
    for path, text in lists.items():
        (root / path).write_text(text)


def changes(root: Path, lists: Mapping[str, str]) -> list[str]:
    """Return a line for each version that the files have otherwise, as `path: old -> new`.

    Hashes are left out: a release can get more files at any time.
    """
    found = []
    for path, text in lists.items():
        before, after = pins(_read(root, path)), pins(text)
        for name in sorted(before.keys() | after.keys()):
            old, new = before.get(name, "none"), after.get(name, "none")
            if old != new:
                found.append(f"{path}: {name} {old} -> {new}")
    return found


def pins(text: str) -> dict[str, str]:
    """Return the version of each package in a list, with the systems that it is for."""
    found: dict[str, str] = {}
    for name, version in re.findall(r"^([\w.-]+)(?:\[.*?\])?==(.+?) *\\?$", text, re.MULTILINE):
        found[name] = f"{found[name]} or {version}" if name in found else version
    return found


def _read(root: Path, path: str) -> str:
    file = root / path
    return file.read_text() if file.exists() else ""


def _compile(root: Path, output: Path, groups: Iterable[str], words: Sequence[str]) -> None:
    """Have uv write a list of what groups need; what stands in the file is kept where it can."""
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-config"),
        *(f"--group={group}" for group in groups),
        *("--universal", "--python-version", _OLDEST_PYTHON, "--generate-hashes"),
        *("--fork-strategy", "fewest"),
        "--no-strip-extras",  # or pip takes them for something else, without a hash
        *("--no-annotate", "--custom-compile-command", "scripts/pin"),
        *("--exclude-newer", os.environ.get("UV_EXCLUDE_NEWER", f"{WAIT.days} days")),
        *("--output-file", str(output), *words),
    ]
    environ = SYSTEM_CERTIFICATES | os.environ
    status = subprocess.run(command, cwd=root, env=environ, stdout=sys.stderr).returncode
    if status:
        raise RegistryError if status == _UNREACHABLE else ListsError
