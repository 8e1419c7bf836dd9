"""The line between your files and ours, and what ours may import from yours.

They may import `functions.pages` (for `routes` and `start`), `namespaces` from socket_host/events,
and `settings` from functions/model/settings.py, and nothing else.
"""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

from scripts.yours import FOLDERS

ROOT = Path(__file__).parent.parent

YOURS = tuple(f"{folder}/" for folder in FOLDERS)

# Apps that become yours in copies of the project: scripts/blank's and tests/auction's.
_APPS = ("scripts/commands/blank/app/", "tests/auction/project/")

_FOLDERS = ("functions/", "socket_host/", "scripts/", "infra/", "tests/")
_KINDS = (".py", ".html", ".css", ".js", ".mjs", ".yaml", ".json", "Dockerfile", "Makefile")

PACKAGES = ("functions.pages", "functions.model", "socket_host.events", "tests.app")
ALLOWED = {
    "functions.pages",
    "functions.model.settings",
    "functions.model.settings.settings",
    "socket_host.events.namespaces",
}


def files() -> Iterator[str]:
    """The paths of all our files with code or configuration."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for path in listed.stdout.split():
        ours = path.startswith(_FOLDERS) and not path.startswith((*YOURS, *_APPS))
        if ours and path.endswith(_KINDS) and (ROOT / path).exists():
            yield path


def imported(text: str) -> set[str]:
    """Return what a module of ours with this text imports from yours, beyond what it may."""
    return {name for name in _imports(ast.parse(text)) if name.startswith(PACKAGES)} - ALLOWED


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
