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
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

from functions.contract.bus import LOOPBACK_PATH
from scripts import ROOT
from scripts.commands.dev import background, sam_local, watch
from scripts.commands.dev.env_file import EnvFileError
from scripts.commands.dev.front_end import FrontEnd
from scripts.commands.dev.function import Function, make_function
from scripts.commands.dev.host import Host
from scripts.commands.dev.listeners import PortError, listen
from scripts.commands.dev.run import RunError, relay_address, relaying, run_now
from scripts.commands.dev.scheduler import Scheduler
from scripts.commands.dev.settings import CONNECTIONS, OriginError, make_environ
from scripts.commands.dev.stand_in import StandIn, StandInError
from scripts.commands.dev.template import Template
from scripts.commands.dev.template_error import TemplateError
from scripts.terminal import say
from socket_host.open_files import allow

PORT = 3000
MAX_PORT = 65_535
MAX_HOSTS = 9
TEMPLATE = ROOT / "infra" / "template.yaml"


def main() -> None:
    """Serve until Ctrl-C or SIGTERM; exit with 1 and an error message if that is impossible."""
    parser = _parser()
    options = parser.parse_args()
    if options.event and not options.run:
        parser.error("--event needs --run NAME")
    if options.hosts > 1 and options.bus == "local":
        sys.exit(
            "Several hosts need a bus, or clients of one would not hear those of another. Say "
            "which: scripts/dev --hosts 2 --bus redis://127.0.0.1:6379"
        )
    if options.data.exists() and not options.data.is_dir():
        sys.exit(f"--data {options.data} is a file, and has to be a folder.")
    try:
        asyncio.run(_run(options) if options.run else _serve(options))
    except KeyboardInterrupt:  # before anything has started
        pass
    except BrokenPipeError:  # the reader has gone, as in `--run NAME | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (EnvFileError, OriginError, PortError, RunError, StandInError, TemplateError) as error:
        sys.exit(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/dev", description="Serve pages and sockets on one origin, as the cloud will."
    )
    parser.add_argument(
        "--port", type=_port, default=PORT, metavar="N", help="default %(default)s; 0 chooses one"
    )
    parser.add_argument(
        "--pages",
        metavar="URL",
        help="take pages from there, such as sam local start-api; both halves then share a "
        "stand-in for AWS, which keeps nothing for longer than this runs",
    )
    parser.add_argument(
        "--data", type=_path, default=ROOT / ".sidepath", metavar="DIR", help="keep data there"
    )
    parser.add_argument(
        "--env",
        type=_path,
        default=ROOT / ".env",
        metavar="FILE",
        help="a file with lines NAME=VALUE for settings of yours; by default .env of the project",
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
    parser.add_argument(
        "--run",
        metavar="NAME",
        help="run a function of infra/template.yaml now, once, beside a site that runs or without",
    )
    parser.add_argument(
        "--event",
        type=_path,
        metavar="FILE",
        help="with --run: a JSON file to call it with, in place of what usually calls it",
    )
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:9]) <= MAX_PORT):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to {MAX_PORT}")
    return int(text)


def _path(text: str) -> Path:
    """Resolve a path against the user's folder: scripts/dev itself runs in the root."""
    return Path(os.environ.get("CALLED_FROM", ""), Path(text).expanduser()).resolve()


async def _run(options: argparse.Namespace) -> None:
    functions = Template.read(TEMPLATE).functions
    environ = make_environ(options.data, options.port, options.env)
    if options.bus.startswith("sns:"):
        environ["BUS"] = options.bus
    elif address := relay_address(options.data):
        environ["BUS"] = address
    await run_now(functions, options.run, options.event, environ, plain=options.plain_runtime)


async def _serve(options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    allow(2 * CONNECTIONS)  # each needs one to the browser and one to the host
    listeners = listen(options.port)
    port: int = listeners[0].getsockname()[1]
    relayed = sam_local.listen() if options.pages else [socket.create_server(("127.0.0.1", 0))]
    template = Template.read(TEMPLATE)
    environ = make_environ(options.data, port, options.env)
    aws = await StandIn.start(TEMPLATE) if options.pages else None
    if aws:
        environ |= sam_local.host_environ(TEMPLATE.read_text(encoding="utf-8"), aws.url)
    options.data.mkdir(parents=True, exist_ok=True)  # now, so that its removal is noticed
    watched = watch.Watch(ROOT, options.data)
    hosts = _hosts(options, environ)
    for host in hosts:
        host.start()
    relay = f"http://127.0.0.1:{relayed[0].getsockname()[1]}{LOOPBACK_PATH}"
    environ["BUS"] = options.bus if options.bus.startswith("sns:") else relay
    make = partial(make_function, environ=environ, plain=options.plain_runtime)
    function = None if options.pages else make(template.function, is_edge=True)
    scheduler = Scheduler(template.functions, function, make)
    front_end = FrontEnd()
    if function and not front_end.builds:
        function.start()
    await asyncio.sleep(0)  # lets them start, so that they import while this process does

    from scripts.commands.dev.balancer import Balancer
    from scripts.commands.dev.edge import Edge, serving
    from scripts.commands.dev.origins import FunctionOrigin, HostOrigin, PagesOrigin
    from scripts.commands.dev.proxy import Proxy
    from scripts.commands.dev.relay import Relay
    from scripts.commands.dev.reload import Reload
    from scripts.commands.dev.template import FUNCTION, SOCKET_HOST

    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy())
        pages = (
            FunctionOrigin(function, scheduler.routed)
            if function
            else PagesOrigin(options.pages, proxy)
        )
        balancer = Balancer(hosts, proxy, lambda: edge.template.stickiness)
        sockets = balancer if len(hosts) > 1 else HostOrigin(hosts[0], proxy)
        edge = Edge(template, {FUNCTION: pages, SOCKET_HOST: sockets})
        reload = Reload(TEMPLATE, edge, hosts, function, scheduler, front_end)
        await stack.enter_async_context(serving(edge.answer, listeners))
        passing_on = Relay(sockets, PagesOrigin(aws.url, proxy) if aws else None)
        await stack.enter_async_context(serving(passing_on.answer, relayed))
        stack.enter_context(relaying(options.data, relay))
        halves = [half for half in (*hosts, function) if half]
        await _until(
            stopped,
            _announce(port, front_end, function, halves, template.functions.problems),
            background.keep("Watching for saves", partial(reload.watch, watched)),
            background.keep("Keeping schedules", scheduler.run),
            *([background.keep("Watching hosts", balancer.watch)] if sockets is balancer else []),
        )
        await asyncio.gather(*(each.stop() for each in (*halves, scheduler, aws) if each))


def _hosts(options: argparse.Namespace, environ: Mapping[str, str]) -> list[Host]:
    numbers = range(1, options.hosts + 1) if options.hosts > 1 else [None]
    proxies = 2 if options.hosts > 1 else 1  # the edge, and the load balancer's stand-in
    own = {**environ, "BUS": options.bus, "PROXIES": str(proxies)}
    return [Host(own, number) for number in numbers]


async def _until(stopped: asyncio.Event, *coroutines: Coroutine[Any, Any, None]) -> None:
    """Run coroutines until the event is set; if one fails, print that and run the others."""
    tasks = [background.begin("A part of scripts/dev", coroutine) for coroutine in coroutines]
    await stopped.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _announce(
    port: int,
    front_end: FrontEnd,
    function: Function | None,
    halves: Sequence[Function | Host],
    problems: Sequence[str],
) -> None:
    """Print the site's address as soon as it can be visited, then keep its front end built."""
    if front_end.builds:
        await front_end.build()
        if function:
            function.start()
    await asyncio.gather(*(each.settled() for each in halves))
    for problem in problems:
        say(problem)
    print(f"Sidepath is ready on http://localhost:{port}", flush=True)
    await background.keep("Watching the front end", front_end.watch)


if __name__ == "__main__":
    main()
