"""The socket host is kept running, even if its process cannot be started for a while."""

import asyncio
import errno
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scripts.commands.dev import host as host_module
from scripts.commands.dev.host import Host
from scripts.commands.dev.process import Process
from tests.scripts.dev.edges import PATIENCE, eventually


@pytest.fixture
async def host(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Host]:
    """A host that is not started yet, with short pauses."""
    monkeypatch.setattr(host_module, "MAX_PAUSE", 0.01)
    host = Host({"STAGE": "development", "PUBLIC_ORIGIN": "http://localhost"})
    yield host
    await host.stop()


async def test_no_python(
    host: Host,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """While .venv is missing, the host reports why, once, and starts when it is back."""
    python = tmp_path / "python"
    monkeypatch.setattr(sys, "executable", str(python))
    host.start()
    async with asyncio.timeout(PATIENCE):
        await host.settled()
    assert host.address is None
    assert f"No such file or directory: '{python}'" in host.why_away
    host.restart()
    async with asyncio.timeout(PATIENCE):
        await host.settled()
    new = tmp_path / "new"
    new.write_text("#!/bin/sh\necho Socket host listening on http://127.0.0.1:1\nsleep 1000\n")
    new.chmod(0o755)
    new.rename(python)
    await eventually(lambda: host.address == "http://127.0.0.1:1")
    assert capsys.readouterr().err.count("cannot be started") == 1


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "Too many open files"), LookupError("x")])
async def test_spawning_fails(
    host: Host, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Any other failure to start is reported and retried."""
    tries = 0

    async def fail(*arguments: object) -> Process:
        nonlocal tries
        tries += 1
        raise error

    monkeypatch.setattr(Process, "spawn", fail)
    host.start()
    await eventually(lambda: tries > 3)
    assert host.why_away.startswith("The socket host cannot be ")
