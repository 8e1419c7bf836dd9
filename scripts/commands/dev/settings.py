"""The settings that scripts/dev gives to both halves."""

import os
from pathlib import Path

from functions.contract.session import SAMPLE_SECRET
from functions.contract.setting import development
from functions.model.settings import settings as declared
from scripts.commands.dev.env_file import read_env_file
from socket_host.origin import parse_origins

# Enough for one machine, whose limit on open files may be low: hundreds may connect at once, for
# those who have not joined have a tenth of them.
CONNECTIONS = 4_000


class OriginError(Exception):
    """PUBLIC_ORIGIN in this environment names no site; the text says what it must be."""


def make_environ(data: Path, port: int, env_file: Path | None = None) -> dict[str, str]:
    """Return the settings of both halves, for a site on a port; raise OriginError, EnvFileError.

    Those in the file replace what yours are in development.
    """
    own = read_env_file(env_file, declared) if env_file else {}
    return {**development(declared, data), **own} | {
        "STAGE": "development",
        "SESSION_SECRET": os.environ.get("SESSION_SECRET") or SAMPLE_SECRET,
        "MAX_CONNECTIONS": os.environ.get("MAX_CONNECTIONS", str(CONNECTIONS)),
        "MAX_PER_ADDRESS": os.environ.get("MAX_PER_ADDRESS", "0"),  # all come from this machine
        "PUBLIC_ORIGIN": ",".join([*_origins(port), *_further_origins()]),
    }


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
