"""`sam local` for tests without an engine: the function itself, with the settings it has there."""

import json
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from scripts.commands.dev.aws import KEYS, REGION
from scripts.commands.dev.function import Function
from scripts.commands.dev.origins import FunctionOrigin
from scripts.commands.dev.template import FUNCTION, SOCKET_HOST
from tests.scripts.dev.edges import Recorder, real_template
from tests.scripts.dev.edges import running as running_edge

FILE = "infra/local.json"


def settings(project: Path) -> dict[str, str]:
    """What a project's infra/local.json gives the function."""
    found: dict[str, str] = json.loads((project / FILE).read_text())["Pages"]
    return found


def move(project: Path) -> None:
    """Have a project look for this machine on a port that nobody has.

    The system gives none of these away by itself, so that it still is nobody's a little later.
    """
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                break
    file = project / FILE
    file.write_text(file.read_text().replace(":3002", f":{port}"))


@asynccontextmanager
async def pages(project: Path) -> AsyncIterator[str]:
    """The address of the function, by the settings of a project; here this machine is localhost."""
    here = {
        name: value.replace("host.docker.internal", "127.0.0.1")
        for name, value in settings(project).items()
    }
    environ = here | KEYS | {"AWS_DEFAULT_REGION": REGION}
    function = Function(real_template().function, environ)
    function.start()
    origins = {FUNCTION: FunctionOrigin(function), SOCKET_HOST: Recorder("sockets")}
    try:
        async with running_edge(origins=origins) as edge:
            yield edge.url
    finally:
        await function.stop()
