"""The whole site on one machine, at one address: `python -m scripts.commands.dev`.

The two child processes are started first, because they take longest. aiohttp, which is slow to
import, is imported here while they start.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections import ChainMap
from collections.abc import Coroutine, Mapping, MutableMapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from functions.contract.bus import LOOPBACK_PATH
from functions.contract.setting import StartError
from scripts import ROOT
from scripts.commands.dev import background, queues, sam_local, watch
from scripts.commands.dev.env_file import EnvFileError
from scripts.commands.dev.front_end import FrontEnd
from scripts.commands.dev.function import Function, make_function
from scripts.commands.dev.host import Host
from scripts.commands.dev.listeners import PortError, listen
from scripts.commands.dev.queues import Queues
from scripts.commands.dev.run import RunError, relay_address, relaying, run_now
from scripts.commands.dev.scheduler import Scheduler
from scripts.commands.dev.settings import (
    CONNECTIONS,
    OriginError,
    OwnSettings,
    make_environ,
    site_names,
)
from scripts.commands.dev.stand_in import StandIn, StandInError
from scripts.commands.dev.template import Template
from scripts.commands.dev.template_error import TemplateError
from scripts.terminal import say
from socket_host.open_files import allow

PORT = 3000
MAX_PORT = 65_535
MAX_HOSTS = 9
TEMPLATE = ROOT / "infra" / "template.yaml"

# Errors whose text tells the user what to do. StartError is for an invalid declared setting.
_REFUSALS = (
    *(EnvFileError, OriginError, PortError, RunError),
    *(StandInError, StartError, TemplateError),
)


def main() -> None:
    """Serve until Ctrl-C or SIGTERM; exit with 1 and an error message if that is impossible."""
    parser = _parser()
    options = parser.parse_args()
    if options.event and not options.run:
        parser.error("--event needs --run NAME")
    if options.hosts > 1 and options.bus == "local":
        sys.exit(
            "Several hosts need a bus to pass events between them. Name one: "
            "scripts/dev --hosts 2 --bus redis://127.0.0.1:6379"
        )
    _make_folder(options.data)
    if options.env and not options.env.exists():
        sys.exit(f"--env {options.env} does not exist.")
    options.env = options.env or ROOT / ".env"
    try:
        asyncio.run(_run(options) if options.run else _serve(options))
    except KeyboardInterrupt:  # before anything has started
        pass
    except BrokenPipeError:  # as in `--run NAME | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except _REFUSALS as error:
        sys.exit(str(error))


def _make_folder(data: Path) -> None:
    """Create the data folder now, so that its removal is noticed; exit if that is impossible."""
    try:
        data.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        sys.exit(f"--data {data} is a file. It must be a folder.")
    except OSError as error:
        sys.exit(f"--data {data} cannot be created: {error.strerror}. Choose another folder.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/dev", description="Serve pages and sockets on one origin, as in the cloud."
    )
    parser.add_argument(
        "--port", type=_port, default=PORT, metavar="N", help="default %(default)s; 0 picks one"
    )
    parser.add_argument(
        "--pages",
        type=_url,
        metavar="URL",
        help="take pages from another server, such as sam local start-api; both halves then "
        "share a stand-in for AWS, whose data is lost when this command ends",
    )
    parser.add_argument(
        "--data",
        type=_path,
        default=ROOT / ".sidepath",
        metavar="DIR",
        help="folder for data (default .sidepath)",
    )
    parser.add_argument(
        "--env",
        type=_path,
        metavar="FILE",
        help="file of NAME=VALUE lines with your settings (default .env in the project)",
    )
    parser.add_argument(
        "--hosts",
        type=int,
        choices=range(1, MAX_HOSTS + 1),
        default=1,
        metavar="N",
        help="number of socket hosts, behind a stand-in for the load balancer; needs --bus",
    )
    parser.add_argument(
        "--bus",
        default=os.environ.get("BUS") or "local",
        metavar="BUS",
        help="what connects the hosts: redis://..., valkey://... or sns:TOPIC_ARN; for the last, "
        "AWS_ENDPOINT_URL may name a stand-in for AWS",
    )
    parser.add_argument(
        "--plain-runtime",
        action="store_true",
        help="run the function without AWS's runtime client, as on systems that lack it",
    )
    parser.add_argument(
        "--run",
        metavar="NAME",
        help="run a function of infra/template.yaml once and exit; the site need not be running",
    )
    parser.add_argument(
        "--event",
        type=_path,
        metavar="FILE",
        help="with --run: JSON file with the event, instead of the function's usual one",
    )
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:9]) <= MAX_PORT):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {MAX_PORT}")
    return int(text)


def _path(text: str) -> Path:
    """Resolve a path against the user's folder, because scripts/dev changes to the root."""
    try:
        return Path(os.environ.get("CALLED_FROM", ""), Path(text).expanduser()).resolve()
    except (OSError, RuntimeError) as error:  # a loop of links, or an unknown user after ~
        raise argparse.ArgumentTypeError(f"{text!r} cannot be resolved: {error}") from None


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is not a number
        usable = False
    if not usable or parts.query or parts.fragment:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an address such as http://127.0.0.1:3001"
        )
    return text


async def _run(options: argparse.Namespace) -> None:
    functions = Template.read(TEMPLATE).functions
    environ = make_environ(OwnSettings(options.data, options.env), options.port)
    if options.bus.startswith("sns:"):
        environ["BUS"] = options.bus
    elif address := relay_address(options.data):
        environ["BUS"] = address
        environ.update(queues.environ(functions, address.removesuffix(LOOPBACK_PATH)))
    await run_now(functions, options.run, options.event, environ, plain=options.plain_runtime)


async def _serve(options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for number in stop_signals():
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    allow(2 * CONNECTIONS)  # each needs one to the browser and one to the host
    listeners = listen(options.port)
    port: int = listeners[0].getsockname()[1]
    relayed = sam_local.listen() if options.pages else [socket.create_server(("127.0.0.1", 0))]
    template = Template.read(TEMPLATE)
    own = OwnSettings(options.data, options.env)
    environ = make_environ(own, port)
    aws = await StandIn.start(TEMPLATE) if options.pages else None
    if aws:
        environ.update(sam_local.host_environ(TEMPLATE.read_text(encoding="utf-8"), aws.url))
    watched = watch.Watch(ROOT, options.data, options.env)
    here = f"http://127.0.0.1:{relayed[0].getsockname()[1]}"
    relay = here + LOOPBACK_PATH
    sqs = queues.environ(template.functions, here)
    # With SNS, hosts have queues of their own, in AWS.
    by_sns = options.bus.startswith("sns:")
    hosts = _hosts(options, environ, {} if by_sns else sqs)
    for host in hosts:
        host.start()
    of_functions = ChainMap({"BUS": options.bus if by_sns else relay, **sqs}, environ)
    make = partial(make_function, environ=of_functions, plain=options.plain_runtime)
    function = None if options.pages else make(template.function, is_edge=True)
    scheduler = Scheduler(template.functions, function, make)
    queued = Queues(lambda: scheduler.functions, scheduler.invoke)
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
        edge = Edge(template, {FUNCTION: pages, SOCKET_HOST: sockets}, site_names(environ))
        reload = Reload(TEMPLATE, edge, hosts, function, scheduler, front_end, own)
        await stack.enter_async_context(serving(edge.answer, listeners))
        passing_on = Relay(sockets, queued, PagesOrigin(aws.url, proxy) if aws else None)
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
        await asyncio.gather(*(each.stop() for each in (*halves, queued, scheduler, aws) if each))


def stop_signals() -> list[signal.Signals]:
    """Return the signals that end this program: not SIGHUP if it is ignored, as under nohup."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([] if ignored else [signal.SIGHUP])]


def _hosts(
    options: argparse.Namespace, environ: MutableMapping[str, str], sqs: Mapping[str, str]
) -> list[Host]:
    numbers = range(1, options.hosts + 1) if options.hosts > 1 else [None]
    proxies = 2 if options.hosts > 1 else 1  # the edge, and the load balancer's stand-in
    own = ChainMap({"BUS": options.bus, "PROXIES": str(proxies), **sqs}, environ)
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
