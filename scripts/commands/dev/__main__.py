"""Everything on one machine, behind one address: `python -m scripts.commands.dev`.

What takes longest to start, the two children, begins first; what they take longest to import,
aiohttp, is imported here only after that.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from functions.contract.bus import LOOPBACK_PATH
from functions.contract.session import SAMPLE_SECRET
from functions.model.settings import settings as declared
from scripts import ROOT
from scripts.commands.dev.function import Function
from scripts.commands.dev.host import Host
from scripts.commands.dev.listeners import PortError, listen
from scripts.commands.dev.sam_local import SamLocal, SamLocalError, StandIn
from scripts.commands.dev.template import Template, TemplateError
from scripts.terminal import say
from socket_host.open_files import allow

if TYPE_CHECKING:
    from scripts.commands.dev.edge import Edge

PORT = 3000
MAX_HOSTS = 9
# Enough for one machine, whose limit on open files may be low: hundreds may connect at once, for
# those who have not joined have a tenth of them.
CONNECTIONS = 4_000
TEMPLATE = ROOT / "infra" / "template.yaml"


def main() -> None:
    """Serve until Ctrl-C or SIGTERM; exit with 1 and a sentence if that cannot begin."""
    options = _parser().parse_args()
    if options.hosts > 1 and options.bus == "local":
        sys.exit(
            "Several hosts need a bus, or clients of one would not hear those of another. Say "
            "which: scripts/dev --hosts 2 --bus redis://127.0.0.1:6379"
        )
    try:
        asyncio.run(_serve(options))
    except KeyboardInterrupt:  # so early that nothing has begun
        pass
    except (PortError, SamLocalError, TemplateError) as error:
        sys.exit(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/dev", description="Serve pages and sockets on one origin, as the cloud will."
    )
    parser.add_argument(
        "--port", type=int, choices=range(65536), default=PORT, metavar="N", help=f"default {PORT}"
    )
    parser.add_argument(
        "--pages",
        metavar="URL",
        help="take pages from there, such as sam local start-api; both halves then have the "
        "settings of infra/local.json, and a stand-in for AWS",
    )
    parser.add_argument(
        "--data", type=Path, default=ROOT / ".sidepath", metavar="DIR", help="keep messages there"
    )
    parser.add_argument(
        "--hosts",
        type=int,
        choices=range(1, MAX_HOSTS + 1),
        default=1,
        metavar="N",
        help="run so many socket hosts behind a load balancer's stand-in; needs --bus",
    )
    parser.add_argument(
        "--bus",
        default=os.environ.get("BUS") or "local",
        metavar="BUS",
        help="what connects the hosts: redis://..., valkey://... or sns:TOPIC_ARN, for which "
        "AWS_ENDPOINT_URL may name a server that stands in for AWS",
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
    template = Template.read(TEMPLATE)
    environ = _environ(options.data.resolve(), port)
    sam_local, aws = None, None
    if options.pages:
        sam_local = SamLocal.read(ROOT / "infra/local.json")
        relayed = sam_local.listen()
        aws = await StandIn.start(TEMPLATE)
        environ |= sam_local.host_environ(aws.url)
    else:
        relayed = [socket.create_server(("127.0.0.1", 0))]
    numbers = range(1, options.hosts + 1) if options.hosts > 1 else [None]
    proxies = 2 if options.hosts > 1 else 1  # the edge, and the load balancer's stand-in
    hosts = [
        Host(environ | {"BUS": options.bus, "PROXIES": str(proxies)}, number) for number in numbers
    ]
    for host in hosts:
        host.start()
    function = None
    if not options.pages:
        loopback = f"http://127.0.0.1:{relayed[0].getsockname()[1]}{LOOPBACK_PATH}"
        bus = options.bus if options.bus.startswith("sns:") else loopback
        function = Function(template.function, environ | {"BUS": bus}, plain=options.plain_runtime)
        function.start()
    await asyncio.sleep(0)  # they start here, and import while this imports what follows

    from scripts.commands.dev.balancer import Balancer
    from scripts.commands.dev.edge import Edge, serving
    from scripts.commands.dev.origins import FunctionOrigin, HostOrigin, PagesOrigin
    from scripts.commands.dev.proxy import Proxy
    from scripts.commands.dev.relay import Relay
    from scripts.commands.dev.template import FUNCTION, SOCKET_HOST

    async with Proxy() as proxy:
        pages = FunctionOrigin(function) if function else PagesOrigin(options.pages, proxy)
        balancer = Balancer(hosts, proxy, lambda: edge.template.stickiness)
        sockets = balancer if len(hosts) > 1 else HostOrigin(hosts[0], proxy)
        relay = Relay(sockets, PagesOrigin(aws.url, proxy) if aws else None)
        edge = Edge(template, {FUNCTION: pages, SOCKET_HOST: sockets})
        async with (
            serving(edge.answer, listeners),
            serving(relay.answer, relayed),
        ):
            await _until(
                stopped,
                _announce(port, hosts, function),
                _reload(edge, hosts, function),
                *([balancer.watch()] if sockets is balancer else []),
            )
            await asyncio.gather(*(each.stop() for each in (*hosts, function, aws) if each))


def _environ(data: Path, port: int) -> dict[str, str]:
    """Return the settings of both halves."""
    own = {
        setting.name: setting.development.replace("{data}", str(data))
        for setting in declared
        if setting.development is not None
    }
    return own | {
        "STAGE": "development",
        "SESSION_SECRET": os.environ.get("SESSION_SECRET") or SAMPLE_SECRET,
        "MAX_CONNECTIONS": os.environ.get("MAX_CONNECTIONS", str(CONNECTIONS)),
        "MAX_PER_ADDRESS": os.environ.get("MAX_PER_ADDRESS", "0"),  # all come from this machine
        "PUBLIC_ORIGIN": f"http://localhost:{port},http://127.0.0.1:{port}",
    }


async def _until(stopped: asyncio.Event, *coroutines: Coroutine[Any, Any, None]) -> None:
    """Run coroutines until the event is set."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    await stopped.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _announce(port: int, hosts: Sequence[Host], function: Function | None) -> None:
    await asyncio.gather(*(each.settled() for each in (*hosts, function) if each))
    print(f"Sidepath is ready on http://localhost:{port}", flush=True)


async def _reload(edge: "Edge", hosts: Sequence[Host], function: Function | None) -> None:
    """Give every save to the half it belongs to."""
    from scripts.commands.dev import watch

    restarting: asyncio.Task[None] | None = None
    try:
        async for reloads in watch.saves(ROOT):
            if file := reloads.get(watch.TEMPLATE):
                _reload_template(edge, function, file)
            if function and (file := reloads.get(watch.FUNCTION)):
                say(f"{file} was saved: the function starts again.")
                function.start()
            if file := reloads.get(watch.HOST):
                which = "the socket host starts" if len(hosts) == 1 else "the socket hosts start"
                say(f"{file} was saved: {which} again.")
                if restarting:
                    restarting.cancel()
                restarting = asyncio.create_task(_restart(hosts))
    except (OSError, RuntimeError) as error:  # the system's limit on watches, for one
        say(f"Saves are not noticed from here on: {error}")


async def _restart(hosts: Sequence[Host]) -> None:
    """Restart one after another: each listens before the next goes down, as in a deployment."""
    for host in hosts:
        host.restart()
        await host.settled()
        if host.address is None and len(hosts) > 1:
            say("The remaining socket hosts stay as they are.")
            return


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
