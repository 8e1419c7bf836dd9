"""Code copied from the documentation works."""

import ast
import importlib
import re
import shlex
import textwrap
from pathlib import Path

import pytest

from tests.docs.documents import ROOT, Document, documents
from tests.docs.project import Project, merged

WITH_FILES = [document for document in documents() if document.files()]


@pytest.mark.parametrize("document", WITH_FILES, ids=lambda document: document.path)
def test_document(document: Document, tmp_path: Path) -> None:
    """A document's files work when they are added to the project one after another.

    Both halves start, its tests pass, its commands work, and lint, format and types are clean.
    """
    project = Project(tmp_path)
    blocks = document.files()
    for block in blocks:
        project.put(block)
    modules = dict.fromkeys(b.title for b in blocks if b.title and b.language == "python")
    # Sorting imports is left to the reader's editor.
    project.run([".venv/bin/ruff", "check", "--extend-ignore", "I001", *modules])
    whole = dict.fromkeys(
        b.title for b in blocks if b.title and b.language == "python" and b.is_whole
    )
    project.run([".venv/bin/ruff", "format", "--check", *whole])
    project.check_types(*modules)
    commands = [
        block.text for block in document.blocks if block.language == "sh" and not block.why_not
    ]
    for command in commands:
        project.shell(command)
    (tmp_path / "tests/app/test_halves.py").write_text(BOTH_START + MORE.get(document.path, ""))
    tests = [title for title in modules if Path(title).name.startswith("test_")]
    project.test("tests/app/test_halves.py", *(t for t in tests if t not in "".join(commands)))


BOTH_START = """
async def test_both_start(host, pages):
    assert pages.get("/no-such-page").status == 404
"""


# Tests for documents without their own.
MORE = {
    "README.md": """

async def test_readme(host, pages):
    assert "<h1>Hello, " in pages.get("/hello").text
    ann = await host.connect("Ann", namespace="/greetings")
    bob = await host.connect("Bob", namespace="/greetings")
    assert await ann.call("wave", "hello") == {"ok": True}
    assert await bob.receive("waved") == {"name": "Ann", "text": "hello"}
    assert "error" in await ann.call("wave", 1)
"""
}


def test_commands_need_a_project() -> None:
    """Commands that are run are in documents with files; all others have a reason not to be."""
    others = [document for document in documents() if document not in WITH_FILES]
    assert not [
        (document.path, block.text)
        for document in others
        for block in document.blocks
        if block.language == "sh" and not block.why_not
    ]


def test_programs_exist() -> None:
    """Every script of ours in a command exists."""
    called = {
        shlex.split(command)[0] for each in documents() for command in each.commands() if command
    }
    ours = {program for program in called if re.match(r"scripts/\w", program)}
    assert ours
    assert not {program for program in ours if not (ROOT / program).is_file()}


MODULE = '''"""Pages."""

from a import b

routes = [b("/")]


def start(app):
    """Open."""
    b.start(app)
'''

ADDITION = """from c import d

routes = [..., d("/d")]


def start(app):
    ...
    d.start(app)
"""

MERGED = '''"""Pages."""

from a import b
from c import d

routes = [
    b("/"),
    d("/d"),
]


def start(app):
    """Open."""
    b.start(app)
    d.start(app)
'''


def test_merging() -> None:
    """A block with `...` is merged into the existing module."""
    assert merged(MODULE, ADDITION) == MERGED


@pytest.mark.parametrize("addition", ["others = [..., 1]", "print()", "def stop(app):\n    app"])
def test_nothing_to_merge_with(addition: str) -> None:
    """An addition that cannot be merged is an error."""
    with pytest.raises(ValueError, match="no "):
        merged(MODULE, addition)


SKETCHES = [
    pytest.param(block.text, id=f"{document.path}-{number}")
    for document in documents()
    for number, block in enumerate(document.blocks, 1)
    if block.language == "python" and not block.title
]


@pytest.mark.parametrize("text", SKETCHES)
def test_sketches(text: str) -> None:
    """Code without a title is valid Python, and its imports from our modules exist."""
    text = textwrap.dedent(text)
    compile(text, "sketch", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(OURS):
            module = importlib.import_module(str(node.module))
            assert not [each.name for each in node.names if not hasattr(module, each.name)]


OURS = ("functions.", "socket_host.", "tests.")
