"""A Redis for the benchmark, which stores nothing on disk."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.commands.bench.machine import SERVER_CORE, free_port, on_core


class RedisError(Exception):
    """Redis is missing or did not start; the text says what to do."""


@contextmanager
def redis(folder: Path) -> Iterator[tuple[int, str]]:
    """Run a redis-server on the servers' core; yield its process id and its URL.

    Raises RedisError.
    """
    port = free_port()
    process = _start(["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder])
    try:
        _await_ready(process)
        yield process.pid, f"redis://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def version() -> str:
    """Return the version of the installed Redis. Raises RedisError."""
    command = [_program(), "--version"]
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.search(r"v=([\d.]+)", output)
    return found[1] if found else "of an unknown version"


def _start(options: list[str | Path]) -> subprocess.Popen[str]:
    with on_core(SERVER_CORE):
        return subprocess.Popen(
            [_program(), *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )


def _program() -> str:
    program = shutil.which("redis-server")
    if program is None:
        raise RedisError(
            "redis-server, which --bus needs, is missing. On Debian: apt-get install redis-server"
        )
    return program


def _await_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    last = ""
    for line in process.stdout:
        if "Ready to accept connections" in line:
            return
        last = line.strip() or last
    raise RedisError(f"redis-server did not start: {last}")
