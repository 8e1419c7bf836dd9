"""Conflicts that need no decision from you: in package.json, and in lists that scripts/pin writes.

npm adds your packages to package.json between ours, and your packages may need other versions of
ours in the lists.
"""

import json
from pathlib import Path
from typing import Any

from scripts.commands.pin.lists import ALONE, TOGETHER
from scripts.yours import git

_PACKAGE = "package.json"

# Which side's text to take; scripts/pin, which comes next, rewrites them. npm's lock keeps the
# versions of your packages, because package.json has the exact versions of ours.
_WRITTEN = {"package-lock.json": "--ours"} | dict.fromkeys([*TOGETHER, *ALONE], "--theirs")


class _BothChangedError(Exception):
    """Both sides have changed the same value."""


def settle(project: Path) -> bool:
    """Resolve these conflicts of a merge that has begun; return whether none are left."""
    for path, versions in _conflicting(project).items():
        if not {"2", "3"} <= versions.keys():
            continue  # one side has removed it
        if side := _WRITTEN.get(path):
            git(project, "checkout", side, "--", path)
            git(project, "add", "--", path)
        elif path == _PACKAGE:
            _settle_package(project, versions)
    return not _conflicting(project)


def _conflicting(project: Path) -> dict[str, dict[str, str]]:
    """Return the conflicting files' versions: 1 is the common one, 2 yours, 3 upstream's."""
    found: dict[str, dict[str, str]] = {}
    for entry in git(project, "ls-files", "--unmerged", "-z").split("\0")[:-1]:
        about, _, path = entry.partition("\t")
        _, blob, stage = about.split(" ")
        found.setdefault(path, {})[stage] = blob
    return found


def _settle_package(project: Path, versions: dict[str, str]) -> None:
    """Merge package.json by its keys, unless both sides have changed one of them."""
    try:
        texts = [git(project, "show", versions[stage]) for stage in ("1", "2", "3")]
        both = _merged(*map(json.loads, texts))
    except (KeyError, ValueError, _BothChangedError):
        return
    text = json.dumps(both, indent=2, ensure_ascii=False) + "\n"
    (project / _PACKAGE).write_text(text, encoding="utf-8")
    git(project, "add", "--", _PACKAGE)


def _merged(base: Any, ours: Any, theirs: Any) -> Any:
    """Merge values of JSON; None stands for one that is absent."""
    if theirs in (base, ours):
        return ours
    if ours == base:
        return theirs
    if not (isinstance(ours, dict) and isinstance(theirs, dict)):
        raise _BothChangedError
    base = base if isinstance(base, dict) else {}
    both = {
        name: _merged(base.get(name), ours.get(name), theirs.get(name)) for name in ours | theirs
    }
    return {name: value for name, value in both.items() if value is not None}
