"""`scripts/dev` for tests: the whole site in its own processes, on its own port."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scripts import ROOT

PATIENCE = 30  # seconds: a deadline that even a busy machine meets


class Development:
    """A running site, whose host can be killed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert ready.startswith("Sidepath is ready on "), ready
        self.url = ready.split()[-1]

    def hosts(self) -> list[int]:
        """The process ids of its socket hosts: one, or none for a moment."""
        command = ["pgrep", "-P", str(self._process.pid), "-f", "socket_host"]
        found = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        return [int(pid) for pid in found.stdout.split()]

    def kill_host(self) -> None:
        """Kill the socket host, which is then restarted."""
        (host,) = self.hosts()
        os.kill(host, signal.SIGKILL)

    @contextmanager
    def host_held_down(self) -> Iterator[None]:
        """Kill every socket host that starts, until the end of the block."""
        over = threading.Event()

        def kill() -> None:
            while not over.wait(0.02):
                for host in self.hosts():
                    with suppress(ProcessLookupError):  # it has ended already
                        os.kill(host, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            yield
        finally:
            over.set()
            killer.join()


@contextmanager
def start_development(data: Path, *options: str, **settings: str) -> Iterator[Development]:
    """Serve everything, with data in a folder; stop all processes at the end.

    Takes options of scripts/dev, and values for your settings.
    """
    env = data / "settings.env"  # not .env, because tests must not use real keys
    env.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    command = [sys.executable, "-m", "scripts.commands.dev", "--port", "0", "--data", str(data)]
    command += ["--env", str(env), *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield Development(process)
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)
