"""The siege: honest clients on a host that is flooded for a minute (`-m hostile`)."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hostile.floods import FLOODS
from tests.hostile.victim import victim
from tests.kit.hosts import ROOT

pytestmark = pytest.mark.together("siege")  # one after another: each needs the whole machine

IDLE, ACTIVE, FLOODERS = 10_000, 1_000, 10
SECONDS = float(os.environ.get("SIEGE_SECONDS", "60"))
MB = 1 << 20


async def _start(module: str, *arguments: object) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *map(str, arguments), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    os.sched_setaffinity(process.pid, os.sched_getaffinity(0) - {_core()} or {_core()})
    return process


def _core() -> int:
    """The host's own core, if there are several."""
    return min(os.sched_getaffinity(0))


async def _line(process: asyncio.subprocess.Process, seconds: float) -> str:
    assert process.stdout
    async with asyncio.timeout(seconds):
        return (await process.stdout.readline()).decode()


@pytest.mark.long
@pytest.mark.parametrize("flood", ["nobody", *FLOODS])
async def test_siege(
    flood: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """No honest client is lost, and the host uses less memory than its container has."""
    settings = {"MAX_CONNECTIONS": "20000", "MAX_PER_ADDRESS": "0"}
    async with victim(tmp_path, **settings) as host:
        host.pin(_core())
        crowd = await _start("tests.hostile.people", host.port, IDLE, ACTIVE, SECONDS)
        eves = None
        try:
            assert await _line(crowd, 120) == "ready\n"
            if flood != "nobody":
                data = FLOODS[flood].hex()
                eves = await _start("tests.hostile.flooders", host.port, FLOODERS, SECONDS, data)
            cpu = host.cpu()
            outcome = json.loads(await _line(crowd, 2 * SECONDS + 60))
            outcome["host's processor seconds"] = round(host.cpu() - cpu, 1)
            outcome["RSS in MB"] = round(host.rss() / MB)
            if eves:
                outcome["flooders closed"] = int(await _line(eves, 60))
            record_property("counts", f"{flood}: {outcome}")
        finally:
            for process in (crowd, eves):
                if process is not None:
                    if process.returncode is None:
                        process.kill()
                    await process.communicate()
        assert outcome["lost"] == 0
        assert outcome["acks"] > ACTIVE
        assert host.rss() < 512 * MB
