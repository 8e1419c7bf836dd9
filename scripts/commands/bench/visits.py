"""What is done to a server in one visit, and the values that come out of it.

A visit starts a server afresh, warms it up, measures what was asked for, and stops it. A value
has the name of its measure, such as `broadcast-1000`; see measures.py for what each one means.
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
Step = Callable[[Any], Values]  # of what its visit opens
Open = Callable[[Server, Path, Conditions], AbstractContextManager[Stage]]


@dataclass(frozen=True)
class Visit:
    """Steps to be done one after the other on one server, each with the measures it yields."""

    name: str
    warm_up: Callable[[Any], None]
    steps: tuple[tuple[str, Step], ...]
    stage: Open = stage

    def select(self, wanted: Callable[[str], bool], server: Server) -> "Visit":
        """Return the visit with only those steps that are wanted and possible."""
        steps = tuple(
            (name, step)
            for name, step in self.steps
            if wanted(name) and not name.startswith(server.cannot)
        )
        return replace(self, steps=steps)


def visits(plan: Plan) -> tuple[Visit, ...]:
    """Return the visits every server gets in every round."""
    return (
        Visit("traffic", partial(_warm_up_traffic, plan), _traffic(plan)),
        Visit("connections", partial(_warm_up_connections, plan), _connections(plan)),
        Visit("crowd", _warm_up_crowd, _crowd(plan)),
    )


# ---- traffic ----------------------------------------------------------------------------------


def _warm_up_traffic(plan: Plan, stage: Stage) -> None:
    # Two seconds: after that Node's compiler has made what it makes of the hot path.
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
    # Two seconds of it, as with traffic: until then Node's handshakes get cheaper.
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
    # Node looks for polls to end every 100 ms: more at once make it wait less.
    cost, _ = stage.cost(f"open {plan.connections} {AT_ONCE * 4} upgrade", aftermath=True)
    stage.clients = plan.connections
    # Who was lost on the way from one transport to the other would not hear this.
    reply = stage.load.tell("broadcast 0.1 say 1")
    return {"upgrade": cost / plan.connections, "upgrade-lost": reply["lost"] + reply["strays"]}


def _disconnects(connected: int, stage: Stage) -> Values:
    stage.grow(connected)
    leaving = connected // 2
    # All at once, as when a network fails: that is where Node is at its best.
    cost, _ = stage.cost(f"close {leaving} {leaving}", aftermath=True)
    stage.clients -= leaving
    return {f"disconnect-{connected}": cost / leaving}


# ---- crowd ------------------------------------------------------------------------------------


def _warm_up_crowd(stage: Stage) -> None:
    # Few: what many would leave behind would hide in the baseline.
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
    """Return what the crowd takes after many have come and gone, the crowd itself among them."""
    for _ in range(plan.churn // _WAVE):
        stage.grow(plan.crowd + _WAVE)
        stage.grow(plan.crowd)
    return {"memory-churned": _idle_kilobytes(plan, stage)}


_WAVE = 1_000  # clients that come before as many leave


def _idle_kilobytes(plan: Plan, stage: Stage) -> float:
    stage.load.tell(f"wait {plan.settle}")
    return (stage.resident() - stage.baseline) / plan.crowd / 1_000
