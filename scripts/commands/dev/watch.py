"""Which half a saved file belongs to."""

from collections.abc import AsyncIterator
from importlib.util import cache_from_source
from pathlib import Path

from watchfiles import awatch

FUNCTION, HOST, TEMPLATE = "function", "host", "template"

_QUIET_MS = 50  # a save that comes as several changes, or several files, counts as one


async def saves(root: Path) -> AsyncIterator[dict[str, str]]:
    """Yield what has to be reloaded after each save, each with the name of a file that says why."""
    template = root / "infra/template.yaml"
    folders = [root / "functions", root / "socket_host", template.parent]
    async for changes in awatch(*folders, watch_filter=None, step=_QUIET_MS):
        paths = sorted(Path(name) for _, name in changes)
        inside = [path.relative_to(root) for path in paths if path.is_relative_to(root)]
        saved = [path for path in inside if _is_source(path)]
        for path in saved:
            _forget_compiled(root / path)
        if reloads := {part: str(path) for path in saved for part in _parts(path)}:
            yield reloads


def _is_source(path: Path) -> bool:
    """Whether somebody wrote a file: not Python, a database or an editor that keeps a copy."""
    made = any(part == "__pycache__" or part.startswith(".") for part in path.parts)
    return not (made or path.name.endswith(("~", ".swp", ".tmp")) or ".sqlite3" in path.name)


def _forget_compiled(path: Path) -> None:
    """Delete what Python has kept of a module: it would not notice a second save in one second."""
    if path.suffix == ".py":
        Path(cache_from_source(path)).unlink(missing_ok=True)


def _parts(path: Path) -> list[str]:
    match path.parts:
        case ("functions", "contract" | "model", *_):
            return [FUNCTION, HOST]
        case ("functions", *_):
            return [FUNCTION]
        case ("socket_host", *_):
            return [HOST]
        case ("infra", "template.yaml"):
            return [TEMPLATE]
    return []
