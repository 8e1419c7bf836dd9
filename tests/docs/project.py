"""A copy of the project, to which a document's files are added as a reader would."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.commands.blank.blanking import blank
from tests.docs.documents import ROOT, Block

PARTS = (
    "functions",
    "socket_host",
    "infra",
    "scripts",
    "tests/kit",
    "tests/app",
    "tests/small_app",
)
FILES = ("pyproject.toml", "package.json", "tests/__init__.py", "tests/conftest.py")

PATIENCE = 300  # seconds: a deadline that even a busy machine meets


class Project:
    """A project without the sample, in the test's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        unwanted = shutil.ignore_patterns("__pycache__")
        for part in PARTS:
            shutil.copytree(ROOT / part, folder / part, ignore=unwanted)
        for path in (*FILES, "tests/long_form.py"):
            shutil.copy(ROOT / path, folder / path)
        blank(folder)  # the reader does not have this project's files
        for path in (".venv", "node_modules"):
            (folder / path).symlink_to((ROOT / path).resolve())

    def put(self, block: Block) -> None:
        """Write a file, or merge a block into the existing one."""
        assert block.title
        path, text = self.folder / block.title, block.text
        if block.language == "yaml":
            text = declared(path.read_text("utf-8"), text)
        elif not block.is_whole:
            text = merged(path.read_text("utf-8"), text)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def run(self, command: Sequence[str] | str) -> str:
        """Run a command, which must succeed; return its output."""
        environ = {name: os.environ[name] for name in os.environ if name not in _OURS}
        done = subprocess.run(
            command,
            cwd=self.folder,
            shell=isinstance(command, str),
            env=environ | {"PYTHONDONTWRITEBYTECODE": ""},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def shell(self, text: str) -> None:
        """Run shell commands as written, but without the setup that scripts/ do first."""
        for line in text.splitlines():
            self.run(re.sub(r"^scripts/(\w+)", r".venv/bin/python -m scripts.commands.\1", line))

    def check_types(self, *paths: str) -> None:
        """Run mypy, with a cache of the project's own modules."""
        cache = ".mypy_cache"
        if (ROOT / cache).is_dir():
            shutil.copytree(ROOT / cache, self.folder / cache)
        self.run([".venv/bin/mypy", *paths])

    def test(self, *paths: str) -> str:
        """Run tests."""
        return self.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *paths])


# Set by conftest.py for this process.
_OURS = ("STAGE", "SESSION_SECRET", "PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER")


def merged(module: str, addition: str) -> str:
    """Return a module merged with a block's imports, elements of lists, and statements.

    Raises ValueError for an addition that cannot be merged.
    """
    for node in ast.parse(addition).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = _imported(module, ast.unparse(node))
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.List):
            module = _extended(module, ast.unparse(node.targets[0]), node.value.elts, addition)
        elif isinstance(node, ast.FunctionDef):
            module = _continued(module, node, addition)
        else:
            raise ValueError(f"no place for {ast.unparse(node)!r}")
    return module


def declared(template: str, resources: str) -> str:
    """Return the template with resources in the reader's section below `Resources`."""
    end = "  # --- end of yours ---\n"
    head, resources_begin, rest = template.partition("\nResources:\n")
    before, marker, after = rest.partition("\n" + end)
    assert marker, "the template has no section for resources of the reader's own"
    return f"{head}{resources_begin}{before}\n\n{resources}{end}{after}"


def _imported(module: str, statement: str) -> str:
    """Add an import below the others, unless it exists."""
    lines, tree = module.splitlines(), ast.parse(module)
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    if statement in map(ast.unparse, imports):
        return module
    at = imports[-1].end_lineno if imports else len(lines)
    return "\n".join([*lines[:at], statement, *lines[at:]]) + "\n"


def _extended(module: str, name: str, new: list[ast.expr], addition: str) -> str:
    """Append to a list the elements after `...`, which stands for the existing ones."""
    added = [ast.get_source_segment(addition, each) or "" for each in new]
    begun = _list(module, name)
    if begun is None:
        if added[:1] == ["..."]:
            raise ValueError(f"there is no list {name}")
        return f"{module}\n{name} = [{', '.join(added)}]\n"
    if added[:1] != ["..."]:
        raise ValueError(f"{name} is there already: no way to replace it")
    old = [ast.get_source_segment(module, each) or "" for each in begun.elts]
    text = "".join(f"    {element},\n" for element in [*old, *added[1:]])
    return _without(module, begun, f"[\n{text}]")


def _list(module: str, name: str) -> ast.List | None:
    """Find the list that a module assigns to a name."""
    for node in ast.parse(module).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=found)], value=ast.List() as value):
                pass
            case ast.AnnAssign(target=ast.Name(id=found), value=ast.List() as value):
                pass
            case _:
                continue
        if found == name:
            return value
    return None


def _without(module: str, node: ast.expr, text: str) -> str:
    """Replace an expression with a text."""
    lines = module.splitlines(keepends=True)
    assert node.end_lineno is not None
    before = [*lines[: node.lineno - 1], lines[node.lineno - 1][: node.col_offset]]
    after = [lines[node.end_lineno - 1][node.end_col_offset :], *lines[node.end_lineno :]]
    return "".join([*before, text, *after])


def _continued(module: str, function: ast.FunctionDef, addition: str) -> str:
    """Append to a function the statements after `...` in the block."""
    below = [
        node
        for node in function.body
        if not isinstance(node, ast.Expr) or ast.unparse(node) != "..."
    ]
    if isinstance(below[0], ast.Expr) and isinstance(below[0].value, ast.Constant):
        below = below[1:]  # the docstring
    lines = module.splitlines()
    for node in ast.parse(module).body:
        if isinstance(node, ast.FunctionDef) and node.name == function.name:
            new = [f"    {ast.get_source_segment(addition, each)}" for each in below]
            return "\n".join([*lines[: node.end_lineno], *new, *lines[node.end_lineno :]]) + "\n"
    raise ValueError(f"there is no function {function.name}")
