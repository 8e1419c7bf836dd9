"""A stage for measurements: one server and its load generator, each on a core of its own."""

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from scripts import ROOT
from scripts.commands.bench.load import Conditions, Load, Reply
from scripts.commands.bench.machine import (
    SERVER_CORE,
    busy_seconds,
    cpu_seconds,
    on_core,
    resident_bytes,
)
from scripts.commands.bench.servers import Server


class ServerError(Exception):
    """A server did not start; the text has its output."""


class Stage:
    """The processes of a server, and its clients."""

    def __init__(self, load: Load, *pids: int) -> None:
        self.load = load
        self._pids = pids
        self.clients = 0
        self.baseline = 0  # bytes of its memory, warm, before clients connect
        self._began = time.monotonic()
        self._busy_before = busy_seconds(SERVER_CORE) - self._used()

    def grow(self, clients: int, mode: str = "websocket") -> None:
        """Connect clients until there are this many."""
        if clients > self.clients:
            self.load.tell(f"open {clients - self.clients} {AT_ONCE} {mode}")
        elif clients < self.clients:
            self.load.tell(f"close {self.clients - clients} {AT_ONCE}")
        self.clients = clients

    def cost(self, command: str, *, aftermath: bool = False) -> tuple[float, Reply]:
        """Return the µs of CPU of the server during a command to its clients, and their reply.

        With `aftermath`, work that the server does after the reply is included.
        """
        before = self._used()
        reply = self.load.tell(command)
        if aftermath:
            self._await_rest()
        return (self._used() - before) * 1e6, reply

    def _used(self) -> float:
        return sum(map(cpu_seconds, self._pids))

    def _await_rest(self) -> None:
        """Wait until the server does little more than answer pings, for at most a minute."""
        for _ in range(300):
            before = self._used()
            self.load.tell("wait 0.2")
            if self._used() - before < 0.02:
                return

    def foreign_share(self) -> float:
        """Return the share of the server's core that other processes have used so far."""
        used = busy_seconds(SERVER_CORE) - self._busy_before - self._used()
        return max(0.0, used / (time.monotonic() - self._began))

    def resident(self) -> int:
        """Return the server's memory in bytes."""
        return sum(map(resident_bytes, self._pids))


# Clients that connect, upgrade or leave at the same time: well below a server's backlog, beyond
# which the kernel drops connections.
AT_ONCE = 32


@contextmanager
def stage(server: Server, folder: Path, conditions: Conditions) -> Iterator[Stage]:
    """Run a server and a load generator without clients.

    Raises ServerError, CompileError or NodeError.
    """
    with serving(server, folder) as (pid, port), loading(server, port, folder, conditions) as load:
        yield Stage(load, pid)


@contextmanager
def loading(server: Server, port: int, folder: Path, conditions: Conditions) -> Iterator[Load]:
    """Run a load generator without clients. Raises CompileError."""
    load = Load.start(server, port, folder, conditions)
    try:
        yield load
    finally:
        load.stop()


@contextmanager
def serving(
    server: Server, folder: Path, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[int, int]]:
    """Run a server with environment variables; yield its process id and its port.

    Raises ServerError, CompileError or NodeError.
    """
    command = server.command(folder)
    environment = os.environ | (settings or {})
    log = folder / f"{server.name}.log"
    with log.open("w", encoding="utf-8") as errors, on_core(SERVER_CORE):
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        yield process.pid, _port(process, server, log)
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
    lines = log.read_text("utf-8").strip().splitlines()
    raise ServerError(
        f"{server.title} did not start: {lines[-1] if lines else 'it printed nothing'} (see {log})"
    )
