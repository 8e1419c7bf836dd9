"""Next.js is started for comparison with the function."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.commands.bench import nextjs
from scripts.commands.bench.node import NodeError


@pytest.fixture
def standalone(tmp_path: Path) -> Callable[[str], Path]:
    """Makes a folder with a server like that of Next.js."""

    def make(code: str) -> Path:
        (tmp_path / "server.js").write_text(code)
        return tmp_path

    return make


_SERVER = """
const page = (request, response) => response.writeHead(STATUS).end("<h1>It is noon</h1>");
require("node:http").createServer(page).listen(process.env.PORT, process.env.HOSTNAME);
"""


def test_next_is_started_until_its_first_page(standalone: Callable[[str], Path]) -> None:
    """A start is measured from spawning the server to its first page."""
    began = time.perf_counter()
    seconds = nextjs.first_page(standalone(_SERVER.replace("STATUS", "200")))
    assert 0 < seconds < time.perf_counter() - began


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("process.exit(1)", "did not start"),
        (_SERVER.replace("STATUS", "500"), "answered 500"),
        (
            _SERVER.replace("response.", "request.socket.destroy() && response."),
            "closed the connection",
        ),
    ],
)
def test_next_without_a_page_is_no_start(
    standalone: Callable[[str], Path], code: str, sentence: str
) -> None:
    """A server that ends at once, or fails, is reported and not measured."""
    with pytest.raises(NodeError, match=sentence):
        nextjs.first_page(standalone(code))


def test_next_that_cannot_be_built_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without npm, Next.js is skipped, with a message that says what is missing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NodeError, match="npm is missing"):
        nextjs.build(tmp_path)
