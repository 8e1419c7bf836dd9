"""The line between yours and ours: finds what of ours imports or names something of yours.

Ours may know `routes` and `start` of functions/pages, `namespaces` of socket_host/events, and
`settings` of functions/model/settings.py, and nothing else.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent

YOURS = ("functions/pages/", "functions/model/", "socket_host/events/", "tests/app/")
SECTION = re.compile(r"# --- Yours ---.*?# --- end of yours ---", re.DOTALL)  # in a file of ours

PACKAGES = ("functions.pages", "functions.model", "socket_host.events", "tests.app")
ALLOWED = {
    "functions.pages",
    "functions.model.settings",
    "functions.model.settings.settings",
    "socket_host.events.namespaces",
}

# Event names that are everyday words of code, too.
WORDS = {"message", "last"}


def files() -> Iterator[str]:
    """Every file of ours that holds code or configuration, by its path."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for path in listed.stdout.split():
        kinds = (".py", ".html", ".css", ".js", ".mjs", ".yaml", ".json", "Dockerfile", "Makefile")
        ours = path.startswith(("functions/", "socket_host/", "scripts/", "infra/", "tests/"))
        if ours and not path.startswith(YOURS) and path.endswith(kinds) and (ROOT / path).exists():
            yield path


def names() -> set[str]:
    """What of yours has a name that ours must not know, but for events."""
    found: set[str] = set()
    ours = {file.name for file in (ROOT / "functions/web").rglob("*")}
    for kind in ("templates", "static"):
        folder = ROOT / "functions/pages" / kind
        found |= {file.name for file in folder.rglob("*")} - ours
    for tree in _trees():
        for node in tree.body:
            match node:
                case ast.ClassDef(name=name) if sum(map(str.isupper, name)) > 1:
                    found.add(name)  # of one word it could be anybody's
                case ast.Assign(
                    targets=[ast.Name(id=name)], value=ast.Constant(value=str(value))
                ) if not name.startswith("_"):
                    found |= {value, value.capitalize()}
                case _:
                    found |= _declared(node)
    return found


def events() -> set[str]:
    """The names of your events."""
    methods = {
        node.name.removeprefix("on_")
        for tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("on_")
    }
    spelled = methods | {name.replace("_", "-") for name in methods}
    return spelled - WORDS - {"connect", "disconnect", "recover"}


def offences(path: str, text: str) -> set[str]:
    """What a file of ours, with this text, knows of yours."""
    text = SECTION.sub("", text)
    known = {name for name in names() if re.search(rf"\b{re.escape(name)}\b", text)}
    if path.endswith(".py"):
        tree = ast.parse(text)
        constants = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        known |= constants & events()
        known |= {name for name in _imports(tree) if name.startswith(PACKAGES)} - ALLOWED
    return known


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _declared(node: ast.stmt) -> set[str]:
    """The names of the settings that a statement declares."""
    return {
        str(call.args[0].value)
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "Setting"
        if call.args and isinstance(call.args[0], ast.Constant)
    }


def _trees() -> Iterator[ast.Module]:
    for folder in ("functions/pages", "functions/model", "socket_host/events"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            yield ast.parse(file.read_text())
