"""The documents and their fenced code blocks.

A block with a title is a file of yours, which belongs in the project:

    ```python title="socket_host/events/poll.py"

A Python block with a docstring is a whole module. Without one, it is merged into the existing
module: elements after `...,` are added to a list, statements after `...` to a function, and imports
to the others. YAML is added to the reader's section of the template.

A block of `sh` is run as written, unless the line above says why not:

    <!-- not run: needs an AWS account -->
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

_FENCE = re.compile(
    r'^(?:<!-- not run: (?P<why>.+?) -->\n)?```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n'
    r"(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block, with its file, if it is one, and the reason why it is not run, if any."""

    language: str
    text: str
    title: str | None
    why_not: str | None

    @property
    def is_whole(self) -> bool:
        """Whether it is a whole file: everything but a module without a docstring."""
        return self.language != "python" or self.text.startswith('"""')


@dataclass(frozen=True)
class Document:
    """A page of the documentation, with its path in the project."""

    path: str

    @property
    def text(self) -> str:
        """The whole text."""
        return (ROOT / self.path).read_text("utf-8")

    @property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return _FENCE.sub("", self.text)

    @property
    def blocks(self) -> list[Block]:
        """Its fenced blocks, in order."""
        return [
            Block(found["language"], found["text"], found["title"], found["why"])
            for found in _FENCE.finditer(self.text)
        ]

    def files(self) -> list[Block]:
        """The blocks that are files."""
        return [block for block in self.blocks if block.title]

    def commands(self) -> list[str]:
        """Every shell command, whether it is run or not."""
        indented = re.findall(r"^    (scripts/.*)$", self.prose, re.MULTILINE)
        shell = [block.text for block in self.blocks if block.language == "sh"]
        lines = [*indented, *"".join(shell).splitlines()]
        return [line.partition("#")[0].strip() for line in lines]

    def anchors(self) -> set[str]:
        """The anchors of its headings."""
        headings = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@cache
def documents() -> tuple[Document, ...]:
    """The README, and all of docs/."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return tuple(Document(path.relative_to(ROOT).as_posix()) for path in paths)


def document(path: str) -> Document:
    """Return the document with a path."""
    return next(each for each in documents() if each.path == path)
