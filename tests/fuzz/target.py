"""Targets of fuzzing: functions that take bytes, and assert what must hold for any input."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from tests.kit.hosts import ROOT

CORPUS = Path(__file__).parent / "corpus"

_OURS = tuple(f"{ROOT / half}/" for half in ("functions", "socket_host"))

Arc = tuple[str, int, int]  # a file, a line, and the one before it


class Target(NamedTuple):
    """A function to fuzz; `words` are typical parts of its inputs."""

    name: str
    check: Callable[[bytes], None]
    words: tuple[bytes, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder of its corpus."""
        return CORPUS / self.name

    def corpus(self) -> list[bytes]:
        """Return the inputs in the corpus."""
        return [file.read_bytes() for file in sorted(self.folder.glob("*"))]

    def keep(self, found: Iterable[bytes]) -> int:
        """Keep the smallest of some inputs that reach new code; return how many.

        One that fails is not kept: it needs a test of its own.
        """
        known = {arc for data in self.corpus() for arc in self.arcs(data)}
        kept = 0
        for data in sorted(found, key=len):
            try:
                arcs = self.arcs(data)
            except AssertionError:
                continue
            if not arcs <= known:
                known |= arcs
                kept += 1
                self.folder.mkdir(parents=True, exist_ok=True)
                (self.folder / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)
        return kept

    def arcs(self, data: bytes) -> set[Arc]:
        """Return the transitions between lines of the project while an input is checked."""
        arcs: set[Arc] = set()

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            file, last = frame.f_code.co_filename, -frame.f_code.co_firstlineno
            if not file.startswith(_OURS):
                return None

            def step(frame: FrameType, event: str, _: Any) -> Any:
                nonlocal last
                if event == "line":
                    arcs.add((file, last, frame.f_lineno))
                    last = frame.f_lineno
                return step

            return step

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            self.check(data)
        finally:
            sys.settrace(before)
        return arcs


class Choices:
    """Bytes read as choices; after their end, every choice is the first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._at

    def number(self, below: int) -> int:
        """Return a number from 0 to below a limit."""
        piece = self.bytes(1 if below <= 256 else 2)
        return int.from_bytes(piece, "big") % below

    def bytes(self, size: int) -> bytes:
        """Return this many bytes, or what is left."""
        piece = self._data[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def some(self) -> bytes:
        """Return some bytes; the first one is their number."""
        return self.bytes(self.number(256))

    def rest(self) -> bytes:
        """Return what is left."""
        return self.bytes(self.left)

    def cut(self, data: bytes) -> Iterator[bytes]:
        """Yield data in pieces."""
        while data:
            size = (self.number(256) if self.left else 0) or len(data)
            yield data[:size]
            data = data[size:]
