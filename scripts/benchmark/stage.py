"""The stage of a measurement: one server and its load generator, each on a core of its own."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.benchmark.load import Conditions, Load, Reply
from scripts.benchmark.machine import (
    SERVER_CORE,
    busy_seconds,
    cpu_seconds,
    on_core,
    resident_bytes,
)
from scripts.benchmark.servers import Server

ROOT = Path(__file__).resolve().parent.parent.parent


class ServerError(Exception):
    """A server did not start; the text shows what it said."""


class Stage:
    """A running server and its clients."""

    def __init__(self, pid: int, load: Load) -> None:
        self.pid = pid
        self.load = load
        self.clients = 0
        self.baseline = 0  # bytes of memory it held, warm, before its clients came
        self._began = time.monotonic()
        self._busy_before = busy_seconds(SERVER_CORE) - cpu_seconds(pid)

    def grow(self, clients: int, mode: str = "websocket") -> None:
        """Have that many clients connected."""
        if clients > self.clients:
            self.load.tell(f"open {clients - self.clients} {AT_ONCE} {mode}")
        elif clients < self.clients:
            self.load.tell(f"close {self.clients - clients} {AT_ONCE}")
        self.clients = clients

    def cost(self, command: str, *, aftermath: bool = False) -> tuple[float, Reply]:
        """Return the µs of CPU the server used while the clients obeyed, and what they say.

        With its aftermath, what the server goes on doing when the clients are served counts too.
        """
        before = cpu_seconds(self.pid)
        reply = self.load.tell(command)
        if aftermath:
            self._await_rest()
        return (cpu_seconds(self.pid) - before) * 1e6, reply

    def _await_rest(self) -> None:
        """Wait until the server does little more than answer pings, or a minute has passed."""
        for _ in range(300):
            before = cpu_seconds(self.pid)
            self.load.tell("wait 0.2")
            if cpu_seconds(self.pid) - before < 0.02:
                return

    def foreign_share(self) -> float:
        """Return what share of the server's core others have used since the stage was set."""
        used = busy_seconds(SERVER_CORE) - self._busy_before - cpu_seconds(self.pid)
        return max(0.0, used / (time.monotonic() - self._began))

    def resident(self) -> int:
        """Return the bytes of memory the server holds."""
        return resident_bytes(self.pid)


# Clients that connect, upgrade or leave at the same time: well below what a server lets wait to
# be accepted, where the kernel would start to drop them.
AT_ONCE = 32


@contextmanager
def stage(server: Server, folder: Path, conditions: Conditions) -> Iterator[Stage]:
    """Run a server and a load generator without clients.

    Raises ServerError, CompileError or NodeError.
    """
    command = server.command(folder)
    log = folder / f"{server.name}.log"
    with log.open("w", encoding="utf-8") as errors, on_core(SERVER_CORE):
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        port = _port(process, server, log)
        load = Load.start(server, port, folder, conditions)
        try:
            yield Stage(process.pid, load)
        finally:
            load.stop()
    finally:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def _port(process: subprocess.Popen[str], server: Server, log: Path) -> int:
    assert process.stdout
    line = process.stdout.readline()
    found = re.search(r":(\d+)$", line.strip())
    if found:
        return int(found[1])
    process.wait()
    said = log.read_text("utf-8").strip().splitlines()
    raise ServerError(
        f"{server.title} did not start: {said[-1] if said else 'it said nothing'} (more in {log})"
    )
