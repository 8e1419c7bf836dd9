"""What the machine reports about a server."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from scripts.commands.bench.machine import cpu_seconds


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """Run a process whose child uses a twentieth of a second of CPU; then both wait."""
    burn = "import time\nwhile time.process_time() < 0.05: pass\nprint(flush=True)\ninput()"
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])"
    process = subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        yield process


def test_the_cpu_of_a_server_includes_its_children(child: subprocess.Popen[bytes]) -> None:
    """The CPU time of a server's children counts as the server's."""
    assert child.stdout
    child.stdout.readline()
    assert cpu_seconds(child.pid) >= 0.05
