"""Duels: two servers that run at once and are measured alternately, for small differences.

Visits are minutes apart, and in that time a shared machine's speed changes by more than a tenth.
"""

import statistics
from dataclasses import dataclass, replace
from pathlib import Path

from scripts.commands.bench.load import Conditions
from scripts.commands.bench.plan import Plan
from scripts.commands.bench.servers import SERVERS
from scripts.commands.bench.stage import Stage, stage
from scripts.commands.bench.visits import Step, Visit, visits

_SECONDS, _WARM_UP = 0.25, 0.1  # of one server in each turn


@dataclass(frozen=True)
class Duel:
    """A measure by which one server is compared with another."""

    measure: str
    server: str
    other: str
    target: float  # largest ratio to the other's

    @property
    def name(self) -> str:
        """The name of its result."""
        return f"{self.measure}: {self.server} / {self.other}"

    def ratio(self, plan: Plan, folder: Path, conditions: Conditions) -> float:
        """Return the CPU time of the server, as a multiple of the other's.

        Raises ServerError, CompileError, NodeError or LoadError.
        """
        warm_up = self._visit(plan).warm_up
        seconds, brief = min(_SECONDS, plan.seconds), min(_WARM_UP, plan.warm_up)
        step = dict(self._visit(replace(plan, seconds=seconds, warm_up=brief)).steps)[self.measure]
        with (
            stage(SERVERS[self.server], folder, conditions) as first,
            stage(SERVERS[self.other], folder, conditions) as second,
        ):
            warm_up(first)
            warm_up(second)
            quotients: list[float] = []
            for _ in range(plan.turns):  # each is first equally often
                quotients.append(self._quotient(step, first, second))
                quotients.append(1 / self._quotient(step, second, first))
            return statistics.median(quotients)

    def _visit(self, plan: Plan) -> Visit:
        return next(visit for visit in visits(plan) if self.measure in dict(visit.steps))

    def _quotient(self, step: Step, earlier: Stage, later: Stage) -> float:
        return step(earlier)[self.measure] / step(later)[self.measure]


DUELS = (
    Duel("event", "fast", "node", 0.80),
    Duel("pipelined", "fast", "node", 0.80),
    Duel("broadcast-5000", "fast", "bare", 1.35),
    Duel("broadcast-1000", "guarded", "fast", 1.10),
    Duel("broadcast-5000", "guarded", "fast", 1.10),
    Duel("handshake", "guarded", "fast", 1.10),
)
