"""Everything on one machine, behind one address: `python -m scripts.dev_server`.

What takes longest to start, the two children, begins first; what they take longest to import,
aiohttp, is imported here only after that.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from functions.contract.bus import LOOPBACK_PATH
from functions.contract.session import SAMPLE_SECRET
from scripts.function import Function
from scripts.host import Host
from scripts.listeners import PortError, listen
from scripts.process import ROOT
from scripts.template import Template, TemplateError
from scripts.terminal import say
from socket_host.open_files import allow

if TYPE_CHECKING:
    from scripts.edge import Edge

PORT = 3000
CONNECTIONS = 1_000  # enough for one machine, whose limit on open files may be low
TEMPLATE = ROOT / "infra" / "template.yaml"


def main() -> None:
    """Serve until Ctrl-C or SIGTERM; exit with 1 and a sentence if that cannot begin."""
    options = _parser().parse_args()
    try:
        asyncio.run(_serve(options))
    except KeyboardInterrupt:  # so early that nothing has begun
        pass
    except (PortError, TemplateError) as error:
        sys.exit(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/dev", description="Serve pages and sockets on one origin, as the cloud will."
    )
    parser.add_argument(
        "--port", type=int, choices=range(65536), default=PORT, metavar="N", help=f"default {PORT}"
    )
    parser.add_argument(
        "--pages", metavar="URL", help="take pages from there, such as sam local start-api"
    )
    parser.add_argument(
        "--data", type=Path, default=ROOT / ".sidepath", metavar="DIR", help="keep messages there"
    )
    parser.add_argument(
        "--plain-runtime",
        action="store_true",
        help="run the function without AWS's runtime client, as where it cannot be installed",
    )
    return parser


async def _serve(options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    allow(2 * CONNECTIONS)  # each is one to the browser and one to the host
    listeners = listen(options.port)
    port: int = listeners[0].getsockname()[1]
    relayed = socket.create_server(("127.0.0.1", 0))
    template = Template.read(TEMPLATE)
    environ = _environ(options.data.resolve(), port)
    host = Host(environ)
    host.start()
    function = None
    if not options.pages:
        bus = {"BUS": f"http://127.0.0.1:{relayed.getsockname()[1]}{LOOPBACK_PATH}"}
        function = Function(template.function, environ | bus, plain=options.plain_runtime)
        function.start()
    await asyncio.sleep(0)  # they start here, and import while this imports what follows

    from scripts.edge import Edge, serving
    from scripts.origins import FunctionOrigin, HostOrigin, PagesOrigin
    from scripts.proxy import Proxy
    from scripts.relay import Relay
    from scripts.template import FUNCTION, SOCKET_HOST

    async with Proxy() as proxy:
        pages = FunctionOrigin(function) if function else PagesOrigin(options.pages, proxy)
        sockets = HostOrigin(host, proxy)
        edge = Edge(template, {FUNCTION: pages, SOCKET_HOST: sockets})
        async with (
            serving(edge.answer, listeners),
            serving(Relay(sockets).answer, [relayed]),
        ):
            await _until(stopped, _announce(port, host, function), _reload(edge, host, function))
            await asyncio.gather(*(half.stop() for half in (host, function) if half))


def _environ(data: Path, port: int) -> dict[str, str]:
    """Return the settings of both halves."""
    return {
        "STAGE": "development",
        "SESSION_SECRET": os.environ.get("SESSION_SECRET") or SAMPLE_SECRET,
        "ROOM_LOG": f"sqlite:{data / 'rooms.sqlite3'}",
        "MAX_CONNECTIONS": os.environ.get("MAX_CONNECTIONS", str(CONNECTIONS)),
        "PUBLIC_ORIGIN": f"http://localhost:{port},http://127.0.0.1:{port}",
    }


async def _until(stopped: asyncio.Event, *coroutines: Coroutine[Any, Any, None]) -> None:
    """Run coroutines until the event is set."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    await stopped.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _announce(port: int, host: Host, function: Function | None) -> None:
    await asyncio.gather(*(half.settled() for half in (host, function) if half))
    print(f"Sidepath is ready on http://localhost:{port}", flush=True)


async def _reload(edge: "Edge", host: Host, function: Function | None) -> None:
    """Give every save to the half it belongs to."""
    from scripts import watch

    try:
        async for reloads in watch.saves(ROOT):
            if file := reloads.get(watch.TEMPLATE):
                _reload_template(edge, function, file)
            if function and (file := reloads.get(watch.FUNCTION)):
                say(f"{file} was saved: the function starts again.")
                function.start()
            if file := reloads.get(watch.HOST):
                say(f"{file} was saved: the socket host starts again.")
                host.restart()
    except (OSError, RuntimeError) as error:  # the system's limit on watches, for one
        say(f"Saves are not noticed from here on: {error}")


def _reload_template(edge: "Edge", function: Function | None, file: str) -> None:
    try:
        template = Template.read(TEMPLATE)
    except TemplateError as error:
        say(f"{error} The behaviours stay as they were.")
        return
    edge.template = template
    say(f"{file} was saved: its behaviours hold.")
    if function and template.function != function.settings:
        function.settings = template.function
        function.start()


if __name__ == "__main__":
    main()
