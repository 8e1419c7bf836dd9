"""The servers: how each is started, and what cannot be measured on it."""

import sys
from dataclasses import dataclass
from pathlib import Path

from scripts.commands.bench import native, node

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Server:
    """A server to measure."""

    name: str
    title: str
    program: tuple[str, ...]
    guarded: bool = False  # requires a session and an origin of every client
    cannot: tuple[str, ...] = ()  # measures that it does not support, by prefix

    def command(self, folder: Path) -> list[str]:
        """Return the command that starts it; install or compile what it needs.

        Raises CompileError or NodeError.
        """
        program, *arguments = self.program
        if program in native.PROGRAMS:
            return [str(native.program(program, folder))]
        if program == "node":
            node.install()
        return [program, *arguments]


def _module(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"scripts.commands.bench.{name}", *arguments)


# A disconnect scans every room, and each client has one, so this would take too long.
_STOCK_CANNOT = ("memory-churned",)

# Its rate limit refuses most events of a client that sends without a pause.
_GUARDED_CANNOT = ("event", "pipelined")

_BARE_CANNOT = ("upgrade", "memory")  # it has no long polling, and allocates no memory for clients

SERVERS = {
    server.name: server
    for server in (
        Server("node", "Node socket.io", ("node", str(HERE / "node_server.mjs"))),
        Server("stock", "python-socketio", _module("stock_server"), cannot=_STOCK_CANNOT),
        Server("fast", "this host", _module("host_server", "fast")),
        Server(
            "guarded",
            "this host, all checks on",
            _module("host_server", "fast", "--guarded"),
            guarded=True,
            cannot=_GUARDED_CANNOT,
        ),
        Server(
            "fallback",
            "this host, TRANSPORT=stock",
            _module("host_server", "stock"),
            cannot=_STOCK_CANNOT,
        ),
        Server("bare", "bare sender in C", ("bare",), cannot=_BARE_CANNOT),
    )
}

DEFAULT = ("node", "stock", "fast", "guarded", "bare")
