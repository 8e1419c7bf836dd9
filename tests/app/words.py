"""The chat's words, which nothing of ours may know: Sidepath serves other apps as well."""

import ast
import re
from collections.abc import Iterator
from functools import cache

from scripts.yours import with_parts
from tests.line import ROOT, imported

# What it is called where people read it.
_SPOKEN = {"room log", "the chat", "message log"}

# Event names that are everyday words of code, too.
_EVERYDAY = {"message", "last"}


@cache
def names() -> set[str]:
    """What of the chat has a name that ours must not know, but for events."""
    found = set(_SPOKEN)
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


@cache
def events() -> set[str]:
    """The names of the chat's events."""
    methods = {
        node.name.removeprefix("on_")
        for tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("on_")
    }
    spelled = methods | {name.replace("_", "-") for name in methods}
    return spelled - _EVERYDAY - {"connect", "disconnect", "recover"}


def offences(path: str, text: str) -> set[str]:
    """What a file of ours, with this text, knows of the chat."""
    text = with_parts(text, {})
    known = {name for name in names() if re.search(rf"\b{re.escape(name)}\b", text)}
    if path.endswith((".py", ".js", ".mjs")):
        known |= {event for event in events() if re.search(rf"""["']{event}["']""", text)}
    return known | (imported(text) if path.endswith(".py") else set())


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
