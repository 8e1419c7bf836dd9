"""`sam local` for tests without a container engine: the function, with its settings there."""

import random
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from scripts.commands.dev import sam_local
from scripts.commands.dev.aws import KEYS, REGION
from scripts.commands.dev.function import make_function
from scripts.commands.dev.origins import FunctionOrigin
from scripts.commands.dev.template import FUNCTION, SOCKET_HOST
from tests.infra.templates import written
from tests.scripts.dev.edges import Recorder, real_template
from tests.scripts.dev.edges import running as running_edge


def unlikely_port() -> int:
    """A free port that the system will not assign to others soon."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


def move(project: Path) -> int:
    """Change the port at which containers find a copy of the project; return the new one."""
    port = unlikely_port()
    file = project / "scripts/commands/dev/sam_local.py"
    text, count = re.subn(r"^PORT = \d+$", f"PORT = {port}", file.read_text(), flags=re.MULTILINE)
    assert count == 1
    file.write_text(text)
    return port


@asynccontextmanager
async def pages(port: int) -> AsyncIterator[str]:
    """The address of the function, which reaches this machine on a port, as localhost."""
    elsewhere = f"{sam_local.MACHINE}:{sam_local.PORT}"
    environ = {
        name: value.replace(elsewhere, f"127.0.0.1:{port}")
        for name, value in sam_local.settings(written(yours=True)).items()
    }
    environ |= KEYS | {"AWS_DEFAULT_REGION": REGION}
    function = make_function(real_template().function, environ=environ, plain=False, is_edge=True)
    function.start()
    origins = {FUNCTION: FunctionOrigin(function), SOCKET_HOST: Recorder("sockets")}
    try:
        async with running_edge(origins=origins) as edge:
            yield edge.url
    finally:
        await function.stop()
