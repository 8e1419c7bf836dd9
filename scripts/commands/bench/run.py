"""The run: visits every server in turn, round after round, and records its values."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.commands.bench.figures import Figures
from scripts.commands.bench.load import Conditions, LoadError
from scripts.commands.bench.node import NodeError
from scripts.commands.bench.plan import Plan
from scripts.commands.bench.redis import RedisError
from scripts.commands.bench.servers import Server
from scripts.commands.bench.stage import ServerError
from scripts.commands.bench.table import number
from scripts.commands.bench.visits import Visit, visits


@dataclass(frozen=True)
class Choice:
    """What to measure: prefixes of measures' names, and servers."""

    measures: tuple[str, ...]
    servers: tuple[Server, ...]

    def wants(self, measure: str) -> bool:
        """Whether a measure, or one whose name begins with it, was chosen."""
        return measure.startswith(self.measures)


class Run:
    """One run of the benchmark; its figures can be read at any time."""

    def __init__(
        self,
        plan: Plan,
        choice: Choice,
        conditions: Conditions,
        folder: Path,
        of: Callable[[Plan], Sequence[Visit]] = visits,
    ) -> None:
        self.figures = Figures()
        self.left_out: dict[tuple[str, str], str] = {}  # (server, measure or visit) → why
        self.foreign: list[
            float
        ] = []  # share of the server's core that other processes used, by visit
        self._plan = plan
        self._visits = of(plan)
        self._choice = choice
        self._conditions = conditions
        self._folder = folder
        self._progress = Progress()

    def measure(self) -> None:
        """Measure everything chosen; record failures, and continue with the rest."""
        turns = [
            (visit, turn, server)
            for visit in self._visits
            for turn in range(1, self._plan.rounds + 1)
            for server in self._choice.servers
            if visit.select(self._choice.wants, server).steps
        ]
        for index, (visit, turn, server) in enumerate(turns, 1):
            self._progress.say(f"[{index}/{len(turns)}] {visit.name}, round {turn}: {server.title}")
            self._visit(visit.select(self._wants(server), server), server)

    def _wants(self, server: Server) -> Callable[[str], bool]:
        return lambda name: self._choice.wants(name) and (server.name, name) not in self.left_out

    def _visit(self, visit: Visit, server: Server) -> None:
        if not visit.steps or (server.name, "start") in self.left_out:
            return
        name = "start"
        try:
            with visit.stage(server, self._folder, self._conditions) as running:
                visit.warm_up(running)
                running.baseline = running.resident()
                for name, step in visit.steps:  # noqa: B007 - told apart below, when one fails
                    self._note(server, step(running))
                self.foreign.append(running.foreign_share())
        except (ServerError, RedisError, NodeError, LoadError) as error:
            self.left_out[server.name, name] = str(error)
            self._progress.say(f"    left out: {error}")

    def _note(self, server: Server, values: dict[str, float]) -> None:
        self.figures.add(server.name, values)
        self._progress.say(
            "    " + ", ".join(f"{name} {number(value)}" for name, value in values.items())
        )


class Progress:
    """Prints what the run is doing, and the time since its start."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """Print a line on stderr, because stdout is for the figures."""
        seconds = int(time.monotonic() - self._started)
        print(f"{seconds // 60:3}:{seconds % 60:02} {text}", file=sys.stderr, flush=True)
