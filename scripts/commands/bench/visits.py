"""Visits: the measurements of a server, and the values they yield.

A visit starts a new server, warms it up, measures what was asked for, and stops it. A value has the
name of its measure, such as `broadcast-1000`; see measures.py for their meanings.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from scripts.commands.bench.load import Conditions
from scripts.commands.bench.plan import Plan
from scripts.commands.bench.servers import Server
from scripts.commands.bench.stage import AT_ONCE, Stage, stage

TIMES = 16  # broadcasts of a burst

Values = dict[str, float]
Step = Callable[[Any], Values]  # its argument is what the visit opens
Open = Callable[[Server, Path, Conditions], AbstractContextManager[Stage]]


@dataclass(frozen=True)
class Visit:
    """Steps that are run in order on one server, each with the measures it yields."""

    name: str
    warm_up: Callable[[Any], None]
    steps: tuple[tuple[str, Step], ...]
    stage: Open = stage

    def select(self, wanted: Callable[[str], bool], server: Server) -> "Visit":
        """Return the visit with only those steps that are wanted and supported."""
        steps = tuple(
            (name, step)
            for name, step in self.steps
            if wanted(name) and not name.startswith(server.cannot)
        )
        return replace(self, steps=steps)


def visits(plan: Plan) -> tuple[Visit, ...]:
    """Return the visits to each server in each round."""
    return (
        Visit("traffic", partial(_warm_up_traffic, plan), _traffic(plan)),
        Visit("connections", partial(_warm_up_connections, plan), _connections(plan)),
        Visit("crowd", _warm_up_crowd, _crowd(plan)),
    )


# ---- traffic ----------------------------------------------------------------------------------


def _warm_up_traffic(plan: Plan, stage: Stage) -> None:
    # Long enough for Node's compiler to have optimised the hot path.
    stage.grow(plan.sizes[0])
    stage.load.tell(f"broadcast {plan.warm_up} say 1")


def _traffic(plan: Plan) -> tuple[tuple[str, Step], ...]:
    events: list[tuple[str, Step]] = [
        ("event", partial(_events, plan, "event", 1)),
        ("pipelined", partial(_events, plan, "pipelined", 8)),
        ("paced", partial(_paced, plan)),
    ]
    steps: list[tuple[str, Step]] = []
    for size in plan.sizes:
        steps.append((f"broadcast-{size}", partial(_broadcast, plan, size, "say")))
        if size == plan.sizes[0]:
            steps += events
        if size == plan.burst_size:
            steps.append((f"burst-{size}", partial(_broadcast, plan, size, "burst")))
            steps.append((f"crowd-{size}", partial(_broadcast, plan, size, "crowd")))
    return tuple(steps)


_NAMES = {"say": "broadcast", "burst": "burst", "crowd": "crowd"}


def _broadcast(plan: Plan, size: int, form: str, stage: Stage) -> Values:
    stage.grow(size)
    stage.load.tell(f"broadcast {plan.seconds / 4} {form} {TIMES}")
    cost, reply = stage.cost(f"broadcast {plan.seconds} {form} {TIMES}")
    name = f"{_NAMES[form]}-{size}"
    return {
        name: cost / max(1, reply["deliveries"]),
        f"{name}-rate": reply["deliveries"] / reply["seconds"],
        f"{name}-lost": reply["lost"] + reply["strays"],
    }


def _events(plan: Plan, name: str, at_once: int, stage: Stage) -> Values:
    stage.grow(plan.sizes[0])
    stage.load.tell(f"events {plan.warm_up / 2} {at_once}")
    cost, reply = stage.cost(f"events {plan.seconds} {at_once}")
    return {
        name: cost / max(1, reply["acks"]),
        f"{name}-rate": reply["acks"] / reply["seconds"],
        f"{name}-lost": reply["lost"] + reply["strays"],
    }


def _paced(plan: Plan, stage: Stage) -> Values:
    stage.grow(plan.sizes[0])
    stage.load.tell(f"paced {plan.warm_up / 2} {plan.pace}")
    cost, reply = stage.cost(f"paced {plan.seconds} {plan.pace}")
    return {
        "paced": cost / max(1, reply["acks"]),
        "paced-p50": reply["p50_us"],
        "paced-p99": reply["p99_us"],
        "paced-lost": reply["lost"] + reply["strays"],
    }


# ---- connections ------------------------------------------------------------------------------


def _warm_up_connections(plan: Plan, stage: Stage) -> None:
    # As long as for traffic, because Node's handshakes become cheaper until then.
    for _ in range(3):
        stage.grow(plan.connections)
        stage.grow(0)


def _connections(plan: Plan) -> tuple[tuple[str, Step], ...]:
    return (
        ("handshake", partial(_handshakes, plan)),
        (f"disconnect-{plan.connections}", partial(_disconnects, plan.connections)),
        ("upgrade", partial(_upgrades, plan)),
    )


def _handshakes(plan: Plan, stage: Stage) -> Values:
    stage.grow(0)
    cost, _ = stage.cost(f"open {plan.connections} {AT_ONCE} websocket", aftermath=True)
    stage.clients = plan.connections
    return {"handshake": cost / plan.connections}


def _upgrades(plan: Plan, stage: Stage) -> Values:
    stage.grow(0)
    stage.grow(plan.connections, "upgrade")  # warm-up
    stage.grow(0)
    # Node ends polls only every 100 ms, so with more at once it waits less.
    cost, _ = stage.cost(f"open {plan.connections} {AT_ONCE * 4} upgrade", aftermath=True)
    stage.clients = plan.connections
    # A client that was lost during the upgrade would not receive this.
    reply = stage.load.tell("broadcast 0.1 say 1")
    return {"upgrade": cost / plan.connections, "upgrade-lost": reply["lost"] + reply["strays"]}


def _disconnects(connected: int, stage: Stage) -> Values:
    stage.grow(connected)
    leaving = connected // 2
    # All at once, as when a network fails, which is Node's best case.
    cost, _ = stage.cost(f"close {leaving} {leaving}", aftermath=True)
    stage.clients -= leaving
    return {f"disconnect-{connected}": cost / leaving}


# ---- crowd ------------------------------------------------------------------------------------


def _warm_up_crowd(stage: Stage) -> None:
    # Few, because the memory that many leave behind would be part of the baseline.
    stage.grow(10)
    stage.grow(0)


def _crowd(plan: Plan) -> tuple[tuple[str, Step], ...]:
    steps: list[tuple[str, Step]] = [
        ("memory", partial(_memory, plan)),
        (f"disconnect-{plan.crowd}", partial(_disconnects, plan.crowd)),
    ]
    if plan.churn:
        steps.append(("memory-churned", partial(_memory_churned, plan)))
    return tuple(steps)


def _memory(plan: Plan, stage: Stage) -> Values:
    stage.grow(plan.crowd)
    return {"memory": _idle_kilobytes(plan, stage)}


def _memory_churned(plan: Plan, stage: Stage) -> Values:
    """Return the crowd's memory after many clients, the crowd included, have come and gone."""
    for _ in range(plan.churn // _WAVE):
        stage.grow(plan.crowd + _WAVE)
        stage.grow(plan.crowd)
    return {"memory-churned": _idle_kilobytes(plan, stage)}


_WAVE = 1_000  # clients that connect before as many leave


def _idle_kilobytes(plan: Plan, stage: Stage) -> float:
    stage.load.tell(f"wait {plan.settle}")
    return (stage.resident() - stage.baseline) / plan.crowd / 1_000
