"""Next.js, the pages people would serve instead: its standalone server, built from nextjs/ once."""

import hashlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.benchmark.machine import SERVER_CORE, on_core

SOURCES = Path(__file__).parent / "nextjs"

_PATIENCE = 30.0  # seconds for a start
_PAUSE = 0.001  # seconds between two tries to connect


class NextError(Exception):
    """Next.js cannot be built or shows no page; the text says why."""


def version() -> str:
    """Return the version that is compared with."""
    content = json.loads((SOURCES / "package.json").read_text("utf-8"))
    pinned: str = content["dependencies"]["next"]
    return pinned


def build(folder: Path) -> Path:
    """Return the folder of the standalone server, built if its sources have changed.

    Raises NextError.
    """
    site = folder / f"nextjs-{_digest()}"
    standalone, built = site / ".next" / "standalone", site / "built"
    if not built.exists():
        print("Next.js is installed and built, once: half a minute.", file=sys.stderr, flush=True)
        shutil.rmtree(site, ignore_errors=True)  # what an interrupted build has left
        shutil.copytree(SOURCES, site)
        _run("npm", "ci", "--no-audit", "--no-fund", folder=site)
        _run("npx", "next", "build", folder=site)
        built.touch()
    return standalone


def first_page(standalone: Path) -> float:
    """Return the seconds from spawning the server to its first page. Raises NextError."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    began = time.perf_counter()
    with _serving(standalone, port) as process:
        _connect(port, process).close()
        page = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        page.request("GET", "/")
        answer = page.getresponse()
        body = answer.read()
        seconds = time.perf_counter() - began
        page.close()
    if answer.status != 200 or b"<h1>It is" not in body:
        raise NextError(f"Next.js answered {answer.status} instead of its page.")
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


def _connect(port: int, process: subprocess.Popen[bytes]) -> socket.socket:
    """Return a connection to the server as soon as it takes one."""
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            time.sleep(_PAUSE)
    raise NextError("Next.js did not start.")


def _digest() -> str:
    digest = hashlib.sha256()
    for source in sorted(path for path in SOURCES.rglob("*") if path.is_file()):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def _run(*command: str, folder: Path) -> None:
    environ = os.environ | {"NEXT_TELEMETRY_DISABLED": "1"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environ, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise NextError(
            f"There is no {command[0]} here. Install Node 20.9 or later, or leave Node out: "
            "--servers fast,stock"
        ) from None
    if done.returncode:
        output = (done.stdout + done.stderr)[-2_000:]
        raise NextError(f"`{' '.join(command)}` failed in {folder}:\n{output}")
