"""Which half a saved file belongs to."""

from collections.abc import AsyncIterator
from importlib.util import cache_from_source
from pathlib import Path

from watchfiles import Change, DefaultFilter, awatch

FUNCTION, HOST, TEMPLATE = "function", "host", "template"

_QUIET_MS = 50  # a save that comes as several changes, or several files, counts as one


async def saves(root: Path) -> AsyncIterator[dict[str, str]]:
    """Yield what has to be reloaded after each save, each with the name of a file that says why."""
    template = root / "infra/template.yaml"
    folders = [root / "functions", root / "socket_host", template.parent]
    async for changes in awatch(*folders, watch_filter=_SourceFilter(), step=_QUIET_MS):
        reloads: dict[str, str] = {}
        for path in sorted(Path(name) for _, name in changes):
            _forget_compiled(path)
            if path.is_relative_to(root):
                for part in _parts(path.relative_to(root)):
                    reloads[part] = str(path.relative_to(root))
        if reloads:
            yield reloads


def _forget_compiled(path: Path) -> None:
    """Delete what Python has kept of a module: it would not notice a second save in one second."""
    if path.suffix == ".py":
        Path(cache_from_source(path)).unlink(missing_ok=True)


def _parts(path: Path) -> list[str]:
    match path.parts:
        case ("functions", "contract", *_):
            return [FUNCTION, HOST]
        case ("functions", *_):
            return [FUNCTION]
        case ("socket_host", *_):
            return [HOST]
        case ("infra", "template.yaml"):
            return [TEMPLATE]
    return []


class _SourceFilter(DefaultFilter):
    """Leaves out what no editor saves: compiled code, databases, hidden and backup files."""

    def __call__(self, change: Change, path: str) -> bool:
        name = Path(path).name
        ignored = name.startswith(".") or name.endswith("~") or ".sqlite3" in name
        return not ignored and super().__call__(change, path)
