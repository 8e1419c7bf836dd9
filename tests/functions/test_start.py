"""A function that cannot start says why in one sentence, in Lambda's log and in its report."""

import asyncio
import importlib.util
import sys
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from scripts import ROOT
from tests.kit.hosts import PATIENCE


@pytest.mark.skipif(
    importlib.util.find_spec("awslambdaric") is None, reason="awslambdaric has no wheel here"
)
async def test_no_stack_trace_in_lambda() -> None:
    """Lambda's own runtime client logs and reports the sentence, without a stack trace."""
    reports: list[Any] = []

    async def report(request: web.BaseRequest) -> web.StreamResponse:
        assert request.path.endswith("/init/error")
        reports.append(await request.json())
        return web.Response(status=202)

    async with RawTestServer(report) as server, asyncio.timeout(PATIENCE):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "awslambdaric", "functions.app.handler"),
            cwd=ROOT,
            env={"AWS_LAMBDA_RUNTIME_API": f"{server.host}:{server.port}"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        logged = (await process.communicate())[0].decode()
    assert process.returncode == 1
    assert "SESSION_SECRET must have 32 characters or more" in logged
    assert "  File " not in logged
    (error,) = reports
    assert "SESSION_SECRET must have 32 characters or more" in error["errorMessage"]
    assert error["stackTrace"] == []
