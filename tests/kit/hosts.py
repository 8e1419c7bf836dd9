"""Hosts for tests: in this process or in one of their own; and session tokens.

By default they have the namespaces and settings of the small app; hosts with yours are in
`tests.kit.yours`.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from functions.contract.session import Session, Sessions
from functions.contract.setting import Setting, development, read_settings
from socket_host.app import TRANSPORTS, SocketHost, create_app
from socket_host.namespace import Namespace
from socket_host.settings import Settings
from socket_host.transport.limits import limits_of
from socket_host.transport.native import transport as native_transport
from socket_host.transport.stock import transport as stock_transport
from tests.small_app.events import namespaces as small_app
from tests.small_app.model.settings import settings as declared

ROOT = Path(__file__).parent.parent.parent
SECRET = "a-secret-for-tests-that-is-long-enough"
ORIGIN = "https://sidepath.test"

PATIENCE = 60  # seconds: a deadline that even a busy machine meets


on_each_transport = pytest.mark.parametrize("transport", sorted(TRANSPORTS))


def token(
    name: str = "Visitor", *, secret: str = SECRET, claims: Mapping[str, Any] | None = None
) -> str:
    """A session token of a visitor, whose id is the name in lower case."""
    return Sessions(secret).issue(Session(name.lower(), name, claims=claims or {}))


def own_texts(folder: Path, declared: Sequence[Setting] = declared) -> dict[str, str]:
    """Declared settings as scripts/dev sets them, with their data in a folder."""
    return development(declared, folder)


def own(folder: Path, declared: Sequence[Setting] = declared) -> dict[str, Any]:
    """The values of declared settings, with their data in a folder."""
    values, problems = read_settings(declared, "host", own_texts(folder, declared))
    assert not problems
    return values


def settings(folder: Path, **changes: Any) -> Settings:
    """A host's settings, with its data in the test's folder."""
    defaults: dict[str, Any] = {
        "session_secret": SECRET,
        "origins": (ORIGIN,),
        "own": own(folder),
        "leases": f"sqlite:{folder}/leases.sqlite3",
        "port": 0,
        "drain_seconds": 0,
    }
    return Settings(**defaults | changes)


def limited(monkeypatch: pytest.MonkeyPatch, **limits: float) -> None:
    """Make hosts of either transport with other limits on connections."""
    for module in (native_transport, stock_transport):
        monkeypatch.setattr(
            module, "limits_of", lambda settings: replace(limits_of(settings), **limits)
        )


def url(host: SocketHost) -> str:
    """The address of a running host."""
    return f"http://127.0.0.1:{host.port}"


@asynccontextmanager
async def serving(
    folder: Path, *namespaces: type[Namespace], **changes: Any
) -> AsyncIterator[SocketHost]:
    """A host in this process, stopped at the end."""
    host = create_app(settings(folder, **changes), namespaces or small_app)
    await host.start()
    try:
        yield host
    finally:
        await host.stop()


class HostProcess:
    """A host's process, whose environment has only its settings."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.url = ""

    async def ready(self, patience: float = PATIENCE) -> None:
        """Wait for the line with its address."""
        assert self.process.stdout
        async with asyncio.timeout(patience):
            line = (await self.process.stdout.readline()).decode()
        assert line.startswith("Socket host listening on http://"), line
        self.url = line.split()[-1]

    async def ended(self) -> tuple[int, str]:
        """Wait for the end; return the exit status and stderr."""
        async with asyncio.timeout(PATIENCE):
            _, stderr = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, stderr.decode()


def environ(folder: Path, **changes: str) -> dict[str, str]:
    """The settings of a host's process; an empty one counts as not set."""
    defaults = {
        "SESSION_SECRET": SECRET,
        "PUBLIC_ORIGIN": ORIGIN,
        "PORT": "0",
        "DRAIN_SECONDS": "0",
        "LEASES": f"sqlite:{folder}/leases.sqlite3",
        "MAX_CONNECTIONS": "500",  # more could exceed the system's limit, and cause a warning
        "MAX_PER_ADDRESS": "0",  # all clients of a test have the same address
    }
    return defaults | own_texts(folder) | changes


@asynccontextmanager
async def host_process(
    settings: Mapping[str, str], module: str = "tests.small_app", project: Path = ROOT
) -> AsyncIterator[HostProcess]:
    """A host's process, killed at the end if it is still running; call `ready` or `ended`.

    `project` is the folder of the code that it runs.
    """
    # Coverage of a subprocess needs its environment variables.
    coverage = {name: value for name, value in os.environ.items() if name.startswith("COV")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        cwd=project,
        env={"PATH": os.environ["PATH"]} | coverage | dict(settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield HostProcess(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
