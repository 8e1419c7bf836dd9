"""Next.js, for comparison with the function: its standalone server, built once from nextjs/."""

import http.client
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from scripts.commands.bench.machine import SERVER_CORE, free_port, on_core
from scripts.commands.bench.node import NodeError, npm
from scripts.commands.bench.sources import digest

SOURCES = Path(__file__).parent / "nextjs"

_PATIENCE = 30.0  # seconds for a start
_PAUSE = 0.001  # seconds between attempts to connect


def build(folder: Path) -> Path:
    """Return the folder of the standalone server, built if its sources have changed.

    Raises NodeError.
    """
    site = folder / f"nextjs-{digest(SOURCES)}"
    standalone, built = site / ".next" / "standalone", site / "built"
    if not built.exists():
        print(
            "Installing and building Next.js, once; this takes half a minute.",
            file=sys.stderr,
            flush=True,
        )
        shutil.rmtree(site, ignore_errors=True)  # left by an interrupted build
        shutil.copytree(SOURCES, site)
        npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=site)
        npm("run", "build", folder=site)
        built.touch()
    return standalone


def first_page(standalone: Path) -> float:
    """Return the seconds from spawning the server to its first page. Raises NodeError."""
    port = free_port()
    began = time.perf_counter()
    with _serving(standalone, port) as process, closing(_connected(port, process)) as connection:
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise NodeError(f"Next.js closed the connection: {error!r}.") from None
        seconds = time.perf_counter() - began
    if answer.status != 200 or b"<h1>It is" not in body:
        raise NodeError(f"Next.js answered {answer.status} instead of its page.")
    return seconds


@contextmanager
def _serving(standalone: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    environ = os.environ | {"PORT": str(port), "HOSTNAME": "127.0.0.1"}
    with on_core(SERVER_CORE):
        process = subprocess.Popen(
            ["node", "server.js"],
            cwd=standalone,
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _connected(port: int, process: subprocess.Popen[bytes]) -> http.client.HTTPConnection:
    """Return a connection to the server as soon as it accepts one."""
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        try:
            connection.connect()
            return connection
        except ConnectionRefusedError:
            time.sleep(_PAUSE)
    raise NodeError("Next.js did not start.")
