"""Measures this host, stock python-socketio and Node socket.io side by side on this machine.

Figures go to stdout, progress to stderr. A full run takes about twenty minutes, --bus three.
"""

import argparse
import dataclasses
import math
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from scripts import ROOT
from scripts.commands.bench import (
    chart,
    function,
    imports,
    machine,
    nextjs,
    node,
    package,
    published,
    redis,
)
from scripts.commands.bench.bus import bus_visits
from scripts.commands.bench.duel import DUELS
from scripts.commands.bench.load import Conditions, LoadError
from scripts.commands.bench.native import CompileError
from scripts.commands.bench.plan import FULL, QUICK, Plan
from scripts.commands.bench.report import Report
from scripts.commands.bench.run import Choice, Run
from scripts.commands.bench.servers import DEFAULT, SERVERS, Server
from scripts.commands.bench.stage import ServerError
from scripts.commands.bench.table import render
from scripts.commands.bench.visits import visits
from scripts.commands.dev.invocation import FunctionError

FOLDER = ROOT / ".sidepath" / "bench"
PUBLISHED = Path(__file__).parent / "figures"  # .json and .svg

QUICK_MEASURES = ("broadcast-1000", "burst", "event", "handshake")
QUICK_SERVERS: tuple[str, ...] = ("node", "fast")
BUS_SERVERS: tuple[str, ...] = ("node", "fast")


def main() -> int:
    """Run the benchmark that the arguments ask for; return the exit status."""
    options = _options()
    # SIGTERM must not leave a server running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    plan, choice = _plan(options), _choice(options)
    conditions = Conditions(deflate=options.deflate, spin=options.spin)
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        machine.prepare(plan.crowd + 1_000)
        report = _measure(plan, choice, conditions, bus=options.bus)
    except (machine.UnfitMachineError, redis.RedisError, CompileError) as error:
        print(error, file=sys.stderr)
        return 1
    print(render(report))
    publish = options.publish and not report.interrupted
    _keep(report, _path(options, publish=publish))
    if publish and not options.bus:
        published.write(report)
    return _outcome(report)


def _measure(plan: Plan, choice: Choice, conditions: Conditions, *, bus: bool) -> Report:
    run = Run(plan, choice, conditions, FOLDER, bus_visits if bus else visits)
    report = Report.new(run.figures, plan, dataclasses.asdict(conditions))
    if bus:
        report.redis = _redis_versions()
    try:
        # First, because its times are absolute, and a shared machine slows down under long load.
        if choice.wants("function"):
            _measure_function(report, plan, choice, spin=conditions.spin)
        _measure_duels(report, plan, choice, conditions)
        run.measure()
    except KeyboardInterrupt:
        report.interrupted = True
    report.foreign = run.foreign
    report.left_out += [f"{server}, {step}: {why}" for (server, step), why in run.left_out.items()]
    return report


def _measure_duels(report: Report, plan: Plan, choice: Choice, conditions: Conditions) -> None:
    for duel in DUELS:
        servers = SERVERS[duel.server], SERVERS[duel.other]
        if choice.wants(duel.measure) and all(server in choice.servers for server in servers):
            print(f"{duel.name}, side by side", file=sys.stderr, flush=True)
            try:
                report.duels[duel.name] = duel.ratio(plan, FOLDER, conditions)
            except (ServerError, node.NodeError, LoadError) as error:
                report.left_out.append(f"{duel.name}: {error}")


def _redis_versions() -> dict[str, str]:
    return {
        "server": redis.version(),
        "adapter": node.version("@socket.io/redis-adapter"),
        "client": node.version("redis"),
    }


def _measure_function(report: Report, plan: Plan, choice: Choice, *, spin: bool) -> None:
    try:
        other = _next(report, choice)
        print("Measuring the function.", file=sys.stderr, flush=True)
        report.function = function.measure(plan, FOLDER, spin=spin, other=other)
        report.imports = imports.measure("functions.app", function.environment_of(FOLDER))
        report.function["function-zip"] = package.measure(FOLDER)
    except (function.PageError, FunctionError, node.NodeError, package.PackageError) as error:
        report.left_out.append(f"function: {error}")
    except subprocess.CalledProcessError:
        report.left_out.append("function: its imports failed.")


def _next(report: Report, choice: Choice) -> Callable[[], float] | None:
    """Return a function that starts Next.js and renders a page; None if Node is not measured."""
    if SERVERS["node"] not in choice.servers:
        return None
    try:
        return partial(nextjs.first_page, nextjs.build(FOLDER))
    except node.NodeError as error:
        report.left_out.append(f"Next.js: {error}")
        return None


def _path(options: argparse.Namespace, *, publish: bool) -> Path:
    path = PUBLISHED if publish else FOLDER / "figures"
    return path.with_name(f"{path.name}-bus") if options.bus else path


def _keep(report: Report, path: Path) -> None:
    report.write(path.with_suffix(".json"))
    path.with_suffix(".svg").write_text(chart.render(report), "utf-8")
    print(f"\nWritten to {path.relative_to(ROOT)}.json; the chart is in the .svg beside it.")


def _outcome(report: Report) -> int:
    """Return the exit status: 1 if a bus has lost messages."""
    return 1 if report.redis and any(map(report.figures.lost, report.figures.servers())) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="only the main measures, in about a minute")
    add("--bus", action="store_true", help="two hosts of each kind on one Redis")
    add("--only", nargs="+", metavar="MEASURE", help="measures whose names begin with these")
    add("--servers", type=_servers, metavar="A,B", help=f"some of {', '.join(SERVERS)}")
    add("--rounds", type=_rounds, help="number of rounds; the figures are medians")
    add("--seconds", type=_seconds, help="length of each measurement under load")
    add("--no-deflate", dest="deflate", action="store_false", help="clients offer no compression")
    add("--no-spin", dest="spin", action="store_false", help="let the load generator sleep")
    add(
        "--publish",
        action="store_true",
        help="write the figures to docs/performance.md and the chart beside this command",
    )
    options = parser.parse_args()
    if options.publish and (options.quick or options.only):
        parser.error("--publish needs a full run, without --quick and --only")
    known = _measures(options)
    for name in options.only or []:
        if not any(measure.startswith(name) for measure in known):
            parser.error(f"{name!r} is not a measure; the measures are {', '.join(known)}")
    return options


def _measures(options: argparse.Namespace) -> list[str]:
    """Return the names of all that can be measured."""
    plan = _plan(options)
    if options.bus:
        return [name for visit in bus_visits(plan) for name, _ in visit.steps]
    return ["function", *(name for visit in visits(plan) for name, _ in visit.steps)]


def _rounds(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rounds, such as 3")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, such as 0.5")
    return seconds


def _servers(names: str) -> tuple[Server, ...]:
    unknown = [name for name in names.split(",") if name not in SERVERS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(SERVERS)}")
    return tuple(SERVERS[name] for name in names.split(","))


def _plan(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else FULL
    changes = {"rounds": options.rounds, "seconds": options.seconds}
    return dataclasses.replace(plan, **{k: v for k, v in changes.items() if v is not None})


def _choice(options: argparse.Namespace) -> Choice:
    measures: tuple[str, ...]
    if options.bus:
        measures, servers = ("bus",), BUS_SERVERS
    elif options.quick:
        measures, servers = QUICK_MEASURES, QUICK_SERVERS
    else:
        measures, servers = ("",), DEFAULT
    return Choice(
        measures=tuple(options.only or measures),
        servers=options.servers or tuple(SERVERS[name] for name in servers),
    )


if __name__ == "__main__":
    sys.exit(main())
