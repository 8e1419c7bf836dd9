"""The benchmark's machine: its cores, its limits, and what processes use of it."""

import os
import platform
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
SERVER_CORE, LOAD_CORE = _CORES[0], _CORES[-1]

SPARE_FILES = 500  # file descriptors of a process in addition to its clients'


class UnfitMachineError(Exception):
    """The benchmark cannot run on this machine; the text says what is missing."""


def prepare(clients: int) -> None:
    """Keep this process off the server's core, and let each child have a socket per client.

    Raises UnfitMachineError.
    """
    if platform.system() != "Linux":
        raise UnfitMachineError(
            "The benchmark needs Linux, because it reads /proc and its load generator uses epoll."
        )
    if SERVER_CORE == LOAD_CORE:
        raise UnfitMachineError(
            "The benchmark needs two cores: one for the server, one for the load generator."
        )
    os.sched_setaffinity(0, {LOAD_CORE})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < clients + SPARE_FILES:
        raise UnfitMachineError(
            f"{clients:,} clients need as many open files, but this shell allows {hard:,}. "
            f"Raise the limit (ulimit -Hn {clients + SPARE_FILES}, as root) or use --quick."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Make processes that are started in the body run on one core, with all their threads."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    """Return a free port, for a program that cannot choose one and report it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, its threads and its children.

    Its clock has a resolution of nanoseconds; /proc/PID/stat shows the same in ticks of 10 ms.
    """
    return sum(time.clock_gettime(_cpu_clock(each)) for each in family(pid))


def resident_bytes(pid: int) -> int:
    """Return the memory of a process and its children (RSS)."""
    page = resource.getpagesize()
    return sum(int(_read(each, "statm").split()[1]) * page for each in family(pid))


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    children = [int(child) for child in _read(pid, f"task/{pid}/children").split()]
    return [pid, *(each for child in children for each in family(child))]


def busy_seconds(core: int) -> float:
    """Return how long a core has been busy since the machine started, to 10 ms."""
    for line in Path("/proc/stat").read_text("utf-8").splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _io, interrupts, soft, stolen = map(int, ticks[:8])
            busy = user + nice + system + interrupts + soft + stolen
            return busy / os.sysconf("SC_CLK_TCK")
    raise UnfitMachineError(f"/proc/stat has no core {core}.")


def description() -> dict[str, str]:
    """Return the properties of the machine that affect the figures."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def _cpu_clock(pid: int) -> int:
    # As clock_getcpuclockid(3) returns it; Python has only the one for threads.
    return (~pid << 3) | 2


def _read(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text("utf-8")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
