"""What is done to a pair of hosts in one visit: clients of one hear what is said on the other.

A value has the name of its measure, such as `bus-1000`; see measures.py for what each one means.
"""

from functools import partial

from scripts.benchmark.pair import SPEAKERS, Pair, pair
from scripts.benchmark.plan import Plan
from scripts.benchmark.visits import TIMES, Step, Values, Visit

_PACED = 4  # times as long as other measurements: there are few messages


def bus_visits(plan: Plan) -> tuple[Visit, ...]:
    """Return the visits every pair gets in every round."""
    return (Visit("bus", partial(_warm_up, plan), _steps(plan), pair),)


def _warm_up(plan: Plan, hosts: Pair) -> None:
    hosts.grow(SPEAKERS + plan.audiences[0][0])
    hosts.load.tell(f"broadcast {plan.warm_up} say 1")


def _steps(plan: Plan) -> tuple[tuple[str, Step], ...]:
    steps: list[tuple[str, Step]] = []
    for size, pace in plan.audiences:
        steps.append((f"bus-{size}", partial(_closed, plan, size, "say")))
        steps.append((f"bus-burst-{size}", partial(_closed, plan, size, "burst")))
        steps.append((f"bus-paced-{size}", partial(_paced, plan, size, pace)))
    return tuple(steps)


_NAMES = {"say": "bus", "burst": "bus-burst"}


def _closed(plan: Plan, size: int, form: str, hosts: Pair) -> Values:
    """Measure one message, or one burst, after the other."""
    hosts.grow(SPEAKERS + size)
    hosts.load.tell(f"broadcast {plan.seconds / 4} {form} {TIMES}")
    both, listening, reply = hosts.costs(f"broadcast {plan.seconds} {form} {TIMES}")
    messages = max(1, reply["rounds"] * (TIMES if form == "burst" else 1))
    name = f"{_NAMES[form]}-{size}"
    return {
        name: both / messages,
        f"{name}-listening": listening / messages,
        f"{name}-rate": messages / reply["seconds"],
        f"{name}-lost": reply["lost"] + reply["strays"],
    }


def _paced(plan: Plan, size: int, pace: int, hosts: Pair) -> Values:
    hosts.grow(SPEAKERS + size)
    hosts.load.tell(f"told {plan.seconds / 4} {pace}")
    both, listening, reply = hosts.costs(f"told {plan.seconds * _PACED} {pace}")
    messages = max(1, reply["rounds"])
    return {
        f"bus-paced-{size}": both / messages,
        f"bus-paced-{size}-listening": listening / messages,
        f"bus-paced-{size}-p50": reply["p50_us"],
        f"bus-paced-{size}-p99": reply["p99_us"],
        f"bus-paced-{size}-lost": reply["lost"] + reply["strays"],
    }
