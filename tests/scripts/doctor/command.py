"""scripts/doctor as a command."""

import asyncio
import subprocess
import sys

from scripts import ROOT
from tests.scripts.dev.edges import PATIENCE


async def doctor(*arguments: str) -> tuple[int | None, str, str]:
    """Run the command; return its exit status, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.commands.doctor", *arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(3 * PATIENCE):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()
