"""Measures the function under AWS's runtime client: a cold start, and warm pages."""

import asyncio
import json
import os
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from functions.contract.setting import development
from functions.model.settings import settings as declared
from scripts import ROOT
from scripts.commands.bench.machine import SERVER_CORE, cpu_seconds, on_core
from scripts.commands.bench.plan import Plan
from scripts.commands.dev.environment import Environment
from scripts.commands.dev.http_api import event
from scripts.commands.dev.invocation import Invocation
from scripts.commands.dev.origin_request import OriginRequest
from scripts.commands.dev.runtime_api import serving

HANDLER = "functions.app.handler"

NOWHERE = "/no-such-page"  # the response is a plain page that uses none of your code

_PATIENCE = 30.0  # seconds for a start


class PageError(Exception):
    """The function did not render a page; the text says what it did instead."""


@dataclass(frozen=True)
class Start:
    """The measurements of one process of the function; times in seconds."""

    cold: float  # from spawning the runtime client to the first page
    cold_cpu: float
    warm: float  # the median of the pages after the first
    warm_cpu: float


def measure(
    plan: Plan, folder: Path, *, spin: bool, other: Callable[[], float] | None = None
) -> dict[str, float]:
    """Return the function's values, in milliseconds; `spin` as in Conditions.

    `other` starts another server and returns the seconds that took; it is called alternately, for
    comparison. Raises PageError if the function renders no page, FunctionError if it fails.
    """
    environ = environment_of(folder)
    starts: dict[str, list[Start]] = {"/": [], NOWHERE: []}
    others: list[float] = []
    for _ in range(plan.starts):
        for path, lives in starts.items():
            lives.append(asyncio.run(_live(environ, path, plan.pages, spin)))
        if other:
            others.append(other())
    return _values(starts) | _comparison(starts["/"], others)


def _values(starts: Mapping[str, Sequence[Start]]) -> dict[str, float]:
    return {
        f"function-{name}": statistics.median(getattr(start, field) for start in starts[path]) * 1e3
        for name, path, field in (
            ("cold", "/", "cold"),
            ("cold-cpu", "/", "cold_cpu"),
            ("warm", "/", "warm"),
            ("warm-cpu", "/", "warm_cpu"),
            ("plain", NOWHERE, "warm"),
            ("plain-cpu", NOWHERE, "warm_cpu"),
        )
    }


def _comparison(starts: Sequence[Start], others: Sequence[float]) -> dict[str, float]:
    if not others:
        return {}
    own, other = statistics.median(start.cold for start in starts), statistics.median(others)
    return {"other-cold": other * 1e3, "function-cold-ratio": own / other}


def environment_of(folder: Path) -> dict[str, str]:
    """Return the function's environment variables, with its data in a folder."""
    return development(declared, folder) | {
        "SESSION_SECRET": "benchmark-secret-that-guards-nothing",
        "_HANDLER": HANDLER,
    }


async def _live(environ: Mapping[str, str], path: str, pages: int, spin: bool) -> Start:
    invocations: asyncio.Queue[Invocation] = asyncio.Queue()
    listener = socket.create_server(("127.0.0.1", 0))
    address = "{}:{}".format(*listener.getsockname())
    async with serving(Environment(invocations), listener), _awake(spin):
        first = _visit(invocations, path)
        began = time.perf_counter()
        process = await _spawn({**os.environ, **environ, "AWS_LAMBDA_RUNTIME_API": address})
        try:
            await _first_page(first, process)
            cold, cold_cpu = time.perf_counter() - began, cpu_seconds(process.pid)
            seconds = [await _timed(invocations, path) for _ in range(pages)]
            warm_cpu = cpu_seconds(process.pid) - cold_cpu
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
    return Start(cold, cold_cpu, statistics.median(seconds), warm_cpu / pages)


@asynccontextmanager
async def _awake(spin: bool) -> AsyncIterator[None]:
    """Keep the event loop from sleeping in the body, if `spin` is true."""

    async def stay_awake() -> None:
        while spin:  # noqa: ASYNC110 - there is nothing to wait for
            await asyncio.sleep(0)

    task = asyncio.create_task(stay_awake())
    try:
        yield
    finally:
        task.cancel()


async def _spawn(environ: Mapping[str, str]) -> asyncio.subprocess.Process:
    with on_core(SERVER_CORE):
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "awslambdaric", HANDLER),
            cwd=ROOT,
            env=environ,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )


async def _first_page(page: asyncio.Future[Any], process: asyncio.subprocess.Process) -> None:
    ended = asyncio.create_task(process.wait())
    await asyncio.wait({page, ended}, timeout=_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    if not page.done():
        raise PageError("The function did not start. Run scripts/dev to see why.")
    _check(page.result())


def _visit(invocations: asyncio.Queue[Invocation], path: str) -> asyncio.Future[Any]:
    invocation = Invocation(json.dumps(event(_request(path))).encode(), _PATIENCE)
    invocations.put_nowait(invocation)
    return invocation.result


async def _timed(invocations: asyncio.Queue[Invocation], path: str) -> float:
    began = time.perf_counter()
    _check(await _visit(invocations, path))
    return time.perf_counter() - began


def _check(result: Any) -> None:
    status = result.get("statusCode") if isinstance(result, dict) else None
    if not isinstance(status, int) or status >= 500:  # below, it is up to your pages
        raise PageError(f"The function answered {status} instead of a page: {str(result)[:200]}")


def _request(path: str) -> OriginRequest:
    """Return a first visit: the page is compressed, and a session is issued."""
    headers = [
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("accept-language", "en-GB,en;q=0.9"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0.0.0 Safari/537.36"),
    ]
    return OriginRequest("GET", path, "", headers, b"", "192.0.2.7", _PATIENCE)
