"""Notices saved files, and which part of the site each belongs to.

The system's reports of changes are incomplete: it misses those in a folder that is deleted and made
again, on a network drive, and beyond its limit on watches. So a report only triggers a comparison
of the files with their former state, which also takes place once a second.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, suppress
from importlib.util import cache_from_source
from pathlib import Path

from scripts import frontend
from scripts.terminal import say

FUNCTION, HOST, TEMPLATE, DATA = "function", "host", "template", "data"
FRONT_END = "front end"

_QUIET_MS = 50  # a save that comes as several changes, or several files, counts as one
_LOOK_SECONDS = 1.0

_TEMPLATE_FILE = Path("infra/template.yaml")
_FOLDERS = ("functions", "socket_host")

# Folders without sources of a front end: those of the root, and those with this name anywhere.
_OURS = frozenset({"docs", "infra", "scripts", "socket_host", "tests"})
_OUTPUT = frozenset({"build", "coverage", "dist", "node_modules", "out", "static"})

_Stamp = tuple[int, ...]  # changes whenever a file is saved


class Watch:
    """Compares a repository's sources, and a folder's databases, with their former state.


    `env_file` has settings for both halves.
    """

    def __init__(self, root: Path, data: Path, env_file: Path | None = None) -> None:
        self._root = root
        self._data = data
        self._env_file = env_file
        self._contents: dict[Path, bytes] = {}  # hashes of a front end's sources
        self._sources = self._look()
        self._databases = self._look_at_data()

    async def saves(self) -> AsyncIterator[dict[str, str]]:
        """Yield the parts to reload after each save, each with the name of a file that was saved.

        A database that is deleted or replaced counts as `DATA`: a process that has it open would
        go on writing to a file that no other process sees. So does one whose permissions change: a
        process that could not open it may be able to now.
        """
        async for _ in self._triggers():
            reloads = {**await asyncio.to_thread(self._saved), **self._lost()}
            if reloads:
                yield reloads

    def _saved(self) -> dict[str, str]:
        former, self._sources = self._sources, self._look()
        paths = former.keys() | self._sources.keys()
        saved = sorted(path for path in paths if former.get(path) != self._sources.get(path))
        for path in saved:
            _forget_compiled(self._root / path)
        return {part: str(path) for path in reversed(saved) for part in self._parts(path)}

    def _parts(self, path: Path) -> list[str]:
        if self._root / path == self._env_file:
            return [FUNCTION, HOST]
        parts = _parts(path)
        if frontend.has_script(frontend.BUILD, self._root) and self._is_front_end(path):
            parts.append(FRONT_END)
        return parts

    def _is_front_end(self, path: Path) -> bool:
        """Whether it is a source whose content has changed; a build may rewrite one unchanged."""
        top, *_ = path.parts
        if top in _OURS or path.suffix == ".py" or _OUTPUT & {*path.parts}:
            return False
        try:
            content = hashlib.sha256((self._root / path).read_bytes()).digest()
        except OSError:
            content = b""
        former = self._contents.get(path)
        self._contents[path] = content
        return content != former

    def _lost(self) -> dict[str, str]:
        former, self._databases = self._databases, self._look_at_data()
        lost = [path for path in former if former[path] != self._databases.get(path)]
        return {DATA: str(lost[0])} if lost else {}

    async def _triggers(self) -> AsyncIterator[None]:
        """Yield when the system reports a change, and every second."""
        told = False
        while True:
            try:
                async with aclosing(self._reports()) as reports:
                    async for _ in reports:
                        yield
            except (OSError, RuntimeError) as error:  # such as the system's limit on watches
                if not told:
                    say(f"The system does not report saves ({error}): noticing one takes a second.")
                told = True
            await asyncio.sleep(_LOOK_SECONDS)
            yield

    async def _reports(self) -> AsyncGenerator[None, None]:
        """Yield at each report, until one of the watched folders is replaced."""
        from watchfiles import awatch

        watched = [folder for folder in self._folders() if folder.is_dir()]
        timeout = int(_LOOK_SECONDS * 1000)
        async for changes in awatch(
            *watched, watch_filter=None, step=_QUIET_MS, rust_timeout=timeout, yield_on_timeout=True
        ):
            yield
            replaced = {name for _, name in changes} & set(map(str, watched))
            if replaced or watched != [folder for folder in self._folders() if folder.is_dir()]:
                return

    def _folders(self) -> Sequence[Path]:
        names = [*_FOLDERS, str(_TEMPLATE_FILE.parent)]
        return [self._root / name for name in names + self._front_end_folders()]

    def _front_end_folders(self) -> list[str]:
        """Return the folders in the root that may hold a front end's sources."""
        if not frontend.has_script(frontend.BUILD, self._root):
            return []
        known = {*_FOLDERS, *_OURS, *_OUTPUT}
        inside = [each for each in self._root.iterdir() if each.is_dir() and each != self._data]
        names = [each.name for each in inside]
        return sorted(name for name in names if name not in known and _is_source(name))

    def _look(self) -> dict[Path, _Stamp]:
        """Return the state of each source, by its path in the repository."""
        top = [self._root / _TEMPLATE_FILE, self._root / "package.json"]
        files = [*self._files(*_FOLDERS), *top, *filter(None, [self._env_file])]
        if frontend.has_script(frontend.BUILD, self._root):
            files += self._files(*self._front_end_folders())
            files += (e for e in self._root.iterdir() if e.is_file() and _is_source(e.name))
        stamps = {self._named(file): _stamp(file) for file in files}
        return {path: stamp for path, stamp in stamps.items() if stamp}

    def _named(self, file: Path) -> Path:
        """Return a file's path in the repository; the settings of this machine may be outside."""
        return file.relative_to(self._root) if file.is_relative_to(self._root) else file

    def _files(self, *names: str) -> Iterator[Path]:
        for name in names:
            for folder, folders, files in os.walk(self._root / name):
                folders[:] = [e for e in folders if _is_source(e) and e != "node_modules"]
                yield from (Path(folder, file) for file in files if _is_source(file))

    def _look_at_data(self) -> dict[Path, _Stamp]:
        """Return the identity of each database, which writing to it does not change."""
        try:
            files = [self._data, *self._data.glob("*.sqlite3")]
        except OSError:  # the folder cannot be read
            return {}
        return {file: stamp[:3] for file in files if (stamp := _stamp(file))}


def _stamp(file: Path) -> _Stamp:
    """Return a value that differs between two states of a file; empty if it does not exist."""
    try:
        found = file.stat()
    except OSError:
        return ()
    identity = found.st_dev, found.st_ino, found.st_mode
    # The last reveals a save that changes neither the size nor the modification time.
    return *identity, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _is_source(name: str) -> bool:
    """Whether a name is not that of a cache, a database or an editor's backup."""
    made = name == "__pycache__" or name.startswith(".") or ".sqlite3" in name
    return not (made or name.endswith(("~", ".swp", ".tmp", ".new")))


def _forget_compiled(path: Path) -> None:
    """Delete a module's bytecode: Python does not notice two saves within one second."""
    if path.suffix == ".py":
        with suppress(OSError):
            Path(cache_from_source(path)).unlink(missing_ok=True)


def _parts(path: Path) -> list[str]:
    match path.parts:
        case ("functions", "contract" | "model", *_):
            return [FUNCTION, HOST]
        case ("functions", *_):
            return [FUNCTION]
        case ("socket_host", *_):
            return [HOST]
        case ("infra", *_):
            return [TEMPLATE]
    return []
