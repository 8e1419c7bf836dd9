"""The settings that scripts/dev gives to both halves."""

import importlib
import os
import sys
from collections import ChainMap
from collections.abc import Sequence
from pathlib import Path

from functions.contract.session import SAMPLE_SECRET
from functions.contract.setting import Setting, development
from functions.model.settings import settings as declared
from scripts.commands.dev.env_file import read_env_file
from socket_host.origin import parse_origins

# Enough for one machine, whose limit on open files may be low: hundreds may connect at once, for
# those who have not joined have a tenth of them.
CONNECTIONS = 4_000

_MODEL = "functions.model"


class OriginError(Exception):
    """PUBLIC_ORIGIN in this environment names no site; the text says what it must be."""


class Environ(ChainMap[str, str]):
    """The settings of both halves, for a site on a port: the framework's, then yours.

    Those in the file replace what yours are in development. Raises OriginError and EnvFileError.
    """

    def __init__(self, data: Path, port: int, env_file: Path | None = None) -> None:
        self._data = data
        self._env_file = env_file
        framework = {
            "STAGE": "development",
            "SESSION_SECRET": os.environ.get("SESSION_SECRET") or SAMPLE_SECRET,
            "MAX_CONNECTIONS": os.environ.get("MAX_CONNECTIONS", str(CONNECTIONS)),
            "MAX_PER_ADDRESS": os.environ.get("MAX_PER_ADDRESS", "0"),  # all are on this machine
            "PUBLIC_ORIGIN": ",".join([*_origins(port), *_further_origins()]),
        }
        super().__init__(framework, self._own(declared))

    def reread(self) -> None:
        """Take yours as they are declared now; raise EnvFileError, or whatever importing raises."""
        self.maps[1] = self._own(_declared_now())

    def _own(self, settings: Sequence[Setting]) -> dict[str, str]:
        own = read_env_file(self._env_file, settings) if self._env_file else {}
        return {**development(settings, self._data), **own}


def _declared_now() -> Sequence[Setting]:
    """Import functions.model again, from the current files."""
    for name in [*sys.modules]:
        if name == _MODEL or name.startswith(f"{_MODEL}."):
            del sys.modules[name]
    importlib.invalidate_caches()
    settings: Sequence[Setting] = importlib.import_module(f"{_MODEL}.settings").settings
    return settings


def _origins(port: int) -> list[str]:
    """Return what browsers call this machine's own site."""
    return [f"http://{name}:{port}" for name in ("localhost", "127.0.0.1", "[::1]")]


def _further_origins() -> tuple[str, ...]:
    """Return those that the environment adds: of a tunnel, or a port that is forwarded."""
    text = os.environ.get("PUBLIC_ORIGIN", "").strip()
    try:
        return parse_origins(text) if text else ()
    except ValueError as error:
        raise OriginError(f"PUBLIC_ORIGIN {error}.") from None
