"""The Python side of the load generator: sends it commands, and reads its replies."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from scripts.commands.bench import guard, native
from scripts.commands.bench.machine import LOAD_CORE, on_core
from scripts.commands.bench.servers import Server

COOKIES = 1_000  # sessions, each shared by up to ten clients of a guarded host

Reply = dict[str, Any]


@dataclass(frozen=True)
class Conditions:
    """The conditions that are the same for all servers of a run."""

    deflate: bool = True  # clients offer permessage-deflate, like browsers
    spin: bool = True  # the load generator never sleeps, so waking it up costs no server CPU time
    silence: float = 10  # seconds without any message after which missing ones count as lost

    def arguments(self) -> list[str]:
        """Return the load generator's arguments for these conditions."""
        return [str(int(self.deflate)), str(int(self.spin)), str(self.silence)]


class LoadError(Exception):
    """The clients did not behave as expected; the text says how."""


class Load:
    """The clients of one server, in one process on a core of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @classmethod
    def start(cls, server: Server, port: int, folder: Path, conditions: Conditions) -> Self:
        """Start without clients. Raises CompileError."""
        origin = guard.ORIGIN if server.guarded else f"http://127.0.0.1:{port}"
        command = [str(native.program("load", folder)), str(port), *conditions.arguments(), origin]
        if server.guarded:
            cookies = folder / "cookies"
            guard.write_cookies(cookies, COOKIES)
            command.append(str(cookies))
        with on_core(LOAD_CORE):
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        return cls(process)

    def tell(self, command: str) -> Reply:
        """Run a command and return its reply; raise LoadError if it failed."""
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise LoadError(f"The load generator ended before {command!r}.") from None
        line = self._process.stdout.readline()
        if not line:
            raise LoadError(f"The load generator ended during {command!r}.")
        reply: Reply = json.loads(line)
        _check(command, reply)
        return reply

    def stop(self) -> None:
        """Stop the load generator, and so all clients."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


_WORDS = {
    "failed": "clients could not connect",
    "opening": "clients were still waiting to be connected",
    "closing": "clients were still waiting for the server to close",
    "dropped": "clients were closed by the server",
}


def _check(command: str, reply: Reply) -> None:
    for key, words in _WORDS.items():
        if reply.get(key):
            raise LoadError(f"{reply[key]:,} {words} during {command!r}.")
    if "error" in reply:
        raise LoadError(f"{reply['error']}: {command!r}.")
