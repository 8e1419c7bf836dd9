"""The report: all results of a run, and the conditions they depend on; stored as JSON."""

import dataclasses
import json
import subprocess
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from scripts.commands.bench import machine, nextjs, node
from scripts.commands.bench.figures import Figures
from scripts.commands.bench.plan import Plan


@dataclass
class Report:
    """The results of a run."""

    figures: Figures
    plan: dict[str, Any]
    conditions: dict[str, Any]
    machine: dict[str, str]
    versions: dict[str, str]
    date: str
    foreign: list[float] = field(default_factory=list)  # see Run
    left_out: list[str] = field(default_factory=list)
    interrupted: bool = False
    duels: dict[str, float] = field(default_factory=dict)  # ratios, by the duel's name
    function: dict[str, float] = field(default_factory=dict)  # milliseconds; bytes of the zip
    imports: dict[str, float] = field(default_factory=dict)  # milliseconds
    redis: dict[str, str] = field(default_factory=dict)  # versions, with --bus

    @classmethod
    def new(cls, figures: Figures, plan: Plan, conditions: dict[str, Any]) -> Self:
        """Return a report with today's date and this machine."""
        return cls(
            figures=figures,
            plan=dataclasses.asdict(plan),
            conditions=conditions,
            machine=machine.description(),
            versions=_versions(),
            date=time.strftime("%Y-%m-%d"),
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the report in a file."""
        content = json.loads(path.read_text("utf-8"))
        content["figures"] = Figures.of(content["figures"])
        return cls(**content)

    def write(self, path: Path) -> None:
        """Write the report to a file."""
        content = vars(self) | {"figures": self.figures.values}
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _versions() -> dict[str, str]:
    packages = ("python-socketio", "python-engineio", "aiohttp", "uvloop")
    return {name: version(name) for name in packages} | {
        "socket.io": node.version("socket.io"),
        "node": _node(),
        "next": node.version("next", nextjs.SOURCES),
    }


def _node() -> str:
    try:
        return subprocess.run(
            ["node", "--version"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (FileNotFoundError, subprocess.CalledProcessError):
        return "none"
