"""The lists of packages: the groups of pyproject.toml, with all dependencies.

Each version has the hashes of its files, so that no other file can be installed. The lists are
valid for every Python, system and processor that we support, and name no registry.
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

# Groups of pyproject.toml, by list. A package has the same version in all of these,
TOGETHER = {
    "requirements.txt": "app",
    "functions/requirements.txt": "function",
    "socket_host/requirements.txt": "host",
    "scripts/requirements.txt": "dev",
    "tests/requirements.txt": "tests",
}
# but these tools each have an environment of their own.
ALONE = {f"scripts/tools/{name}.txt": name for name in ("uv", "sam", "checkov", "pip-audit")}

# Newer releases are not used, because malicious ones are usually removed within days.
# UV_EXCLUDE_NEWER overrides this.
WAIT = timedelta(days=7)

_OLDEST_PYTHON = "3.11"

# uv's exit status for errors other than unsatisfiable requirements, and what distinguishes one that
# has nothing to do with a registry.
_UNREACHABLE, _UNREADABLE = 2, "dependency group"


class ListsError(Exception):
    """No compatible versions were found; uv has printed why."""


class ProjectError(ListsError):
    """The groups of pyproject.toml cannot be read; uv has printed why."""


class RegistryError(ListsError):
    """The registry could not be reached."""


def resolve(root: Path, upgrade: Sequence[str] = ()) -> dict[str, str]:
    """Return the current text of every list, by path. Raises ListsError.

    Versions that still meet the requirements are kept, except those of the packages in `upgrade`;
    `--upgrade` there stands for all packages.
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
    """Write lists to their files."""
    for path, text in lists.items():
        (root / path).write_text(text)


def changes(root: Path, lists: Mapping[str, str]) -> list[str]:
    """Return a line for each version that differs from the files, as `path: old -> new`.

    Hashes are not compared, because files can be added to a release at any time.
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
    """Return the version of each package in a list, with its environment marker."""
    found: dict[str, str] = {}
    for name, version in re.findall(r"^([\w.-]+)(?:\[.*?\])?==(.+?) *\\?$", text, re.MULTILINE):
        found[name] = f"{found[name]} or {version}" if name in found else version
    return found


def _read(root: Path, path: str) -> str:
    file = root / path
    return file.read_text() if file.exists() else ""


def _compile(root: Path, output: Path, groups: Iterable[str], words: Sequence[str]) -> None:
    """Have uv write a list for groups, keeping the versions in the file where possible."""
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-config"),
        *(f"--group={group}" for group in groups),
        *("--universal", "--python-version", _OLDEST_PYTHON, "--generate-hashes"),
        *("--fork-strategy", "fewest"),
        "--no-strip-extras",  # otherwise pip treats them as other packages, without a hash
        *("--no-annotate", "--custom-compile-command", "scripts/pin"),
        *("--exclude-newer", os.environ.get("UV_EXCLUDE_NEWER", f"{WAIT.days} days")),
        *("--output-file", str(output), *words),
    ]
    environ = SYSTEM_CERTIFICATES | os.environ
    done = subprocess.run(command, cwd=root, env=environ, stderr=subprocess.PIPE, text=True)
    sys.stderr.write(done.stderr)
    if not done.returncode:
        return
    if _UNREADABLE in done.stderr:
        raise ProjectError
    raise RegistryError if done.returncode == _UNREACHABLE else ListsError
