"""The visits to a pair of hosts: a client of one host emits, and clients of the other receive.

A value has the name of its measure, such as `bus-message-5`; see measures.py for their meanings.
"""

from functools import partial

from scripts.commands.bench.load import Reply
from scripts.commands.bench.pair import SPEAKERS, Pair, pair
from scripts.commands.bench.plan import Plan
from scripts.commands.bench.visits import TIMES, Step, Values, Visit

_PACED = 4  # times as long as other measurements, because there are few messages


def bus_visits(plan: Plan) -> tuple[Visit, ...]:
    """Return the visits to each pair in each round."""
    return (Visit("bus", partial(_warm_up, plan), _steps(plan), pair),)


def _warm_up(plan: Plan, hosts: Pair) -> None:
    hosts.grow(SPEAKERS + plan.audiences[0][0])
    hosts.load.tell(f"broadcast {plan.warm_up} say 1")


def _steps(plan: Plan) -> tuple[tuple[str, Step], ...]:
    steps: list[tuple[str, Step]] = []
    for size, pace in plan.audiences:
        steps.append((f"bus-{_unit(size)}-{size}", partial(_message, plan, size)))
        steps.append((f"bus-burst-{size}", partial(_burst, plan, size)))
        steps.append((f"bus-paced-{size}", partial(_paced, plan, size, pace)))
    return tuple(steps)


def _unit(size: int) -> str:
    """Return the unit of CPU time: with few deliveries, most of it is spent before them."""
    return "message" if size < _MANY else "delivery"


_MANY = 100


def _message(plan: Plan, size: int, hosts: Pair) -> Values:
    """Measure messages one at a time, each sent when all clients have received the last."""
    both, listening, reply = _closed(plan, size, "say 1", hosts)
    units = _units(size, reply["rounds"])
    return {
        f"bus-{_unit(size)}-{size}": both / units,
        f"bus-listening-{size}": listening / units,
        **_lost(size, reply),
    }


def _burst(plan: Plan, size: int, hosts: Pair) -> Values:
    both, _, reply = _closed(plan, size, f"burst {TIMES}", hosts)
    units = _units(size, reply["rounds"] * TIMES)
    return {f"bus-burst-{size}": both / units, **_lost(size, reply)}


def _closed(plan: Plan, size: int, form: str, hosts: Pair) -> tuple[float, float, Reply]:
    hosts.grow(SPEAKERS + size)
    hosts.load.tell(f"broadcast {plan.seconds / 4} {form}")
    return hosts.costs(f"broadcast {plan.seconds} {form}")


def _paced(plan: Plan, size: int, pace: int, hosts: Pair) -> Values:
    hosts.grow(SPEAKERS + size)
    hosts.load.tell(f"told {plan.seconds} {pace}")
    both, _, reply = hosts.costs(f"told {plan.seconds * _PACED} {pace}")
    return {
        f"bus-paced-{size}": both / _units(size, reply["rounds"]),
        f"bus-p50-{size}": reply["p50_us"],
        f"bus-p99-{size}": reply["p99_us"],
        **_lost(size, reply),
    }


def _units(size: int, messages: int) -> int:
    return max(1, messages * (size if _unit(size) == "delivery" else 1))


def _lost(size: int, reply: Reply) -> Values:
    return {f"bus-{size}-lost": reply["lost"] + reply["strays"]}
