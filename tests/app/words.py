"""The chat's names, which the framework must not contain, because it is for any app."""

import ast
import re
from collections.abc import Iterator
from functools import cache

from scripts.yours import with_parts
from tests.line import ROOT, imported

# Its names in documentation.
_IN_PROSE = {"room log", "the chat", "message log"}

# Event names that are also common words in code.
_COMMON = {"message", "last"}


@cache
def names() -> set[str]:
    """Return the names of the chat's files, classes, constants and settings."""
    found = set(_IN_PROSE)
    ours = {file.name for file in (ROOT / "functions/web").rglob("*")}
    for kind in ("templates", "static"):
        folder = ROOT / "functions/pages" / kind
        found |= {file.name for file in folder.rglob("*")} - ours
    for tree in _trees():
        for node in tree.body:
            match node:
                case ast.ClassDef(name=name) if sum(map(str.isupper, name)) > 1:
                    found.add(name)  # names of one word are too common
                case ast.Assign(
                    targets=[ast.Name(id=name)], value=ast.Constant(value=str(value))
                ) if not name.startswith("_"):
                    found |= {value, value.capitalize()}
                case _:
                    found |= _declared(node)
    return found


@cache
def events() -> set[str]:
    """Return the names of the chat's events, except common words."""
    methods = {
        node.name.removeprefix("on_")
        for tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("on_")
    }
    spelled = methods | {name.replace("_", "-") for name in methods}
    return spelled - _COMMON - {"connect", "disconnect", "recover"}


def offences(path: str, text: str) -> set[str]:
    """Return the chat's names and modules that a framework file with this text refers to."""
    text = with_parts(text, {})
    known = {name for name in names() if re.search(rf"\b{re.escape(name)}\b", text)}
    if path.endswith((".py", ".js", ".mjs")):
        known |= {event for event in events() if re.search(rf"""["']{event}["']""", text)}
    return known | (imported(text) if path.endswith(".py") else set())


def _declared(node: ast.stmt) -> set[str]:
    """Return the names of the settings that a statement declares."""
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
