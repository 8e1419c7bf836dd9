"""docs/architecture.md follows a message through a few files, which contain what it names."""

import ast
import re

import pytest

from tests.docs.documents import ROOT, document

MOST = 15  # files for a reader to open

STORY = document("docs/architecture.md").text.partition("\n## One message\n")[2]
STEPS = re.findall(
    r"^\d+\. \[[\w.]+\]\(\.\./([\w./]+)\), ((?:`[\w.]+`(?:, )?)+):",
    STORY.partition("\n## ")[0],
    re.M,
)


def names(path: str) -> set[str]:
    """The classes, functions and methods of a module."""
    found = set()
    for node in ast.parse((ROOT / path).read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
            found |= {f"{node.name}.{part.name}" for part in node.body if hasattr(part, "name")}
    return found


def test_few_files() -> None:
    """The walk-through has no more files than allowed, and all of its steps are checked."""
    numbers = re.findall(r"^(\d+)\. ", STORY.partition("\n## ")[0], re.M)
    assert numbers == [str(number) for number in range(1, len(STEPS) + 1)]
    assert 0 < len({path for path, _ in STEPS}) <= MOST


@pytest.mark.parametrize(("path", "said"), STEPS, ids=[path for path, _ in STEPS])
def test_step(path: str, said: str) -> None:
    """A file in the walk-through has the functions that are named there."""
    assert set(re.findall(r"`([\w.]+)`", said)) <= names(path)
