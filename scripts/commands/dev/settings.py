"""The settings that scripts/dev gives to both halves.

`python -m scripts.commands.dev.settings DATA ENV_FILE` prints yours as JSON.
"""

import asyncio
import json
import os
import re
import sys
from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from urllib.parse import urlsplit

from functions.contract.session import SAMPLE_SECRET
from functions.contract.setting import StartError, development
from functions.model.settings import settings as declared
from scripts import ROOT
from scripts.commands.dev.env_file import EnvFileError, read_env_file
from scripts.terminal import say
from socket_host.origin import parse_origins

# Few enough for a low limit on open files. A tenth of these may be clients that have not joined
# yet, so hundreds can connect at once.
CONNECTIONS = 4_000


class OriginError(Exception):
    """PUBLIC_ORIGIN in this environment is invalid; the text says what it must be."""


class OwnSettings:
    """Your settings: their development values, or those in the file for this machine.

    `values` is always the same dictionary; `renew` updates it in place. Raises EnvFileError for a
    malformed file, and SettingError for a wrong declaration.
    """

    def __init__(self, data: Path, env_file: Path) -> None:
        self.values = _own(data, env_file)
        self._arguments = (str(data), str(env_file))

    async def renew(self) -> None:
        """Reload the declaration and the file; if that fails, print why and change nothing."""
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", __name__, *self._arguments),  # imports them afresh
                cwd=ROOT,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            say(f"Your settings were not reloaded: {error}.")
            return
        printed, why = await process.communicate()
        if process.returncode:
            say(f"Your settings were not reloaded: {_reason(why.decode(errors='replace'))}")
            return
        self.values.clear()
        self.values.update(json.loads(printed.splitlines()[-1]))


def _reason(output: str) -> str:
    """Return the last line of the output, preceded by the file and line of a traceback."""
    places = re.findall(r'^ *File "(.+)", (line \d+)', output, re.MULTILINE)
    file, line = places[-1] if places else ("", "")
    where = f"{file.removeprefix(f'{ROOT}/')}, {line}: " if places else ""
    return where + output.strip().rpartition("\n")[2]


def _own(data: Path, env_file: Path) -> dict[str, str]:
    return {**development(declared, data), **read_env_file(env_file, declared)}


def make_environ(own: OwnSettings, port: int) -> MutableMapping[str, str]:
    """Return the settings of both halves for a site on a port; raise OriginError.

    They always have the current values of `own`.
    """
    return ChainMap(_ours(port), own.values)


def _ours(port: int) -> dict[str, str]:
    return {
        "STAGE": "development",
        "SESSION_SECRET": os.environ.get("SESSION_SECRET") or SAMPLE_SECRET,
        "MAX_CONNECTIONS": os.environ.get("MAX_CONNECTIONS", str(CONNECTIONS)),
        "MAX_PER_ADDRESS": os.environ.get("MAX_PER_ADDRESS", "0"),  # all come from this machine
        "PUBLIC_ORIGIN": ",".join([*_origins(port), *_further_origins()]),
    }


def site_names(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the host names in PUBLIC_ORIGIN."""
    origins = parse_origins(environ["PUBLIC_ORIGIN"])
    return frozenset(urlsplit(origin).hostname or "" for origin in origins)


def _origins(port: int) -> list[str]:
    """Return the origins under which browsers on this machine reach the site."""
    return [f"http://{name}:{port}" for name in ("localhost", "127.0.0.1", "[::1]")]


def _further_origins() -> tuple[str, ...]:
    """Return the origins in PUBLIC_ORIGIN, such as a tunnel's or a forwarded port's."""
    text = os.environ.get("PUBLIC_ORIGIN", "").strip()
    try:
        return parse_origins(text) if text else ()
    except ValueError as error:
        raise OriginError(f"PUBLIC_ORIGIN {error}.") from None


if __name__ == "__main__":
    try:
        print(json.dumps(_own(Path(sys.argv[1]), Path(sys.argv[2]))))
    except (EnvFileError, StartError) as error:
        sys.exit(str(error))
