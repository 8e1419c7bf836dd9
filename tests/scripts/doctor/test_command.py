"""The command's output for a healthy site, for a broken one, and for none."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import cast

import aiohttp
import pytest

from scripts.commands.dev.template import SOCKET_HOST
from scripts.commands.doctor.finding import FAILED, SKIPPED
from tests.scripts.dev.edges import PATIENCE, RunningEdge
from tests.scripts.dev.project import running, small_project
from tests.scripts.doctor.command import doctor
from tests.scripts.doctor.findings import examined
from tests.scripts.doctor.ports import unused_port
from tests.scripts.doctor.sites import (
    Hosts,
    behaving,
    drop,
    site,
)


@pytest.mark.parametrize("transport", ["fast", "stock"])
async def test_healthy(tmp_path: Path, transport: str) -> None:
    """On a healthy site all checks pass except those for https, and all clients disconnect."""
    async with site(tmp_path, transport=transport) as edge:
        findings = await examined(edge.url)
        await everybody_gone(edge)
    assert findings.failed == set()
    assert findings.with_outcome(SKIPPED) == {"hsts", "https", "broadcast"}
    with closing(sqlite3.connect(tmp_path / "posts.sqlite3")) as posts:
        assert posts.execute("SELECT * FROM post").fetchall() == []


async def everybody_gone(edge: RunningEdge) -> None:
    """Wait until the host has no connections left."""
    (address,) = cast(Hosts, edge.origins[SOCKET_HOST]).addresses
    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession(address) as http:
        connections = -1
        while connections != 0:
            async with http.get("/health") as answer:
                connections = (await answer.json())["connections"]


async def test_scripts_dev(tmp_path: Path) -> None:
    """A site under scripts/dev passes: a table, and exit status 0."""
    async with running(small_project(tmp_path)) as dev:
        status, output, _ = await doctor(dev.url)
    assert status == 0, output
    assert "  ok       by-upgrade           Connected in" in output
    assert "0 FAILED, 3 skipped." in output
    assert "\x1b" not in output


async def test_json_of_a_broken_site(tmp_path: Path) -> None:
    """With --json the failures are in the output, and the exit status is 1."""
    async with site(tmp_path, change=drop("x-content-type-options")) as edge:
        status, output, _ = await doctor("--json", edge.url)
    report = json.loads(output)
    assert status == 1
    assert report["healthy"] is False
    assert [c["check"] for c in report["checks"] if c["outcome"] == FAILED] == ["nosniff"]


async def test_skipped_check(tmp_path: Path) -> None:
    """A check that the site fails on purpose can be skipped with --skip."""
    async with site(tmp_path, template=behaving("/health")) as edge:
        assert (await examined(edge.url)).failed == {"health"}
        status, output, _ = await doctor("--skip", "health", edge.url)
    assert status == 0
    assert "skipped  health" in output


@pytest.mark.parametrize("session", ["a\nb", "é", "\x7f"])
async def test_invalid_session(session: str) -> None:
    """An invalid cookie value is refused before any request."""
    status, _, complaint = await doctor(f"--session={session}", "http://127.0.0.1:1")
    assert status == 2
    assert "is not a valid cookie value" in complaint


async def test_refused() -> None:
    """If no server listens, the command says so, with exit status 2."""
    address = f"http://127.0.0.1:{unused_port()}"
    status, output, complaint = await doctor(address)
    assert (status, output) == (2, "")
    assert complaint == (
        f"{address} could not be reached: the connection was refused. Is the site running?\n"
    )


async def test_refused_as_json() -> None:
    """With --json the same message is in the output."""
    status, output, _ = await doctor("--json", f"http://127.0.0.1:{unused_port()}")
    assert status == 2
    assert "Is the site running" in json.loads(output)["unreachable"]
